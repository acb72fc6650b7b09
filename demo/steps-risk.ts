/**
 * The steps of risk: what is normal is learnt, and a person says so; who leaves it is slowed, challenged and quarantined; people answer,
 * release and let new work in. Real Envoy, Chroma, embeddings and commands; nothing is played but the agents.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './client.ts'
import { APPROVER, OPERATOR } from './identities.ts'
import { type PageGot, REFUSED_FIRST } from './pages.ts'
import {
  BASELINE,
  burstsOf,
  command,
  dba,
  LEARNERS,
  morning,
  mustSay,
  type RiskScene,
  SCANNER,
  STRIKES_APART_MS,
  search,
  untilRefused
} from './risk.ts'
import type { Step } from './step.ts'

/** Who is who among the agents: after those that learn come eight that work on, then these. */
const WORKING = 8
const [HIJACKED, DISOWNED, READER, NEWCOMER, FOLLOWER, ON_BEHALF, REPORTED] = [52, 53, 54, 55, 56, 57, 58] as const
const NEW_WORK = { first: 60, count: 9, questions: 4, rounds: 3, roundsMax: 12 }
const RECORDS_A_DAY = 200
const REASON = 'ticket 4812'
const why = ['--reason', REASON]

export const RISK_STEPS: readonly Step<RiskScene>[] = [
  {
    name: 'the first query of an agent type: it passes, and learning is shown from then on',
    shows: 'acme/agent/dba/0: a search of the manual; people/grace: vecauthz baselines, vecauthz standings',
    run: async (scene) => {
      const answer = await asks(scene, 0, 0)
      await mustSay(scene, '1 queries in 1 bursts of 1 workloads: 11 bursts until it could judge', 'baselines')
      await mustSay(scene, 'Everybody stands normal.', 'standings')
      return answer
    },
    want: { status: 200 }
  },
  {
    name: 'an honest bursty morning: nobody is stopped, and what was learnt is enough to judge by',
    shows: `acme/agent/dba/0 to ${LEARNERS - 1}: a burst of 3 to 14 searches each, as fast as they can; people/grace: vecauthz baselines`,
    run: async (scene) => {
      const answer = await morning(scene, burstsOf(scene.questions.own, 0, LEARNERS))
      await mustSay(
        scene,
        // On a busy machine a burst may have a pause in it, and is two.
        new RegExp(`learning\\n  learnt +\\d+ queries in \\d+ bursts of ${LEARNERS} workloads: enough`),
        'baselines'
      )
      await mustSay(scene, 'Everybody stands normal.', 'standings')
      return answer
    },
    want: { status: 200 }
  },
  {
    name: 'it is frozen, and waits for a person; whoever only approves drops may not say yes, an operator may',
    shows: `people/grace: vecauthz baselines freeze …; people/ada, people/grace: vecauthz baselines approve … --records-a-day ${RECORDS_A_DAY}`,
    run: async (scene) => {
      await mustSay(scene, 'done: freeze', 'baselines', 'freeze', ...BASELINE, ...why)
      await mustSay(scene, /waiting\n +waiting +[0-9a-f]{12}: \d+ queries/, 'baselines')
      await command(scene, 1, APPROVER, 'baselines', 'approve', ...BASELINE, ...why)
      await mustSay(scene, 'done: approve', 'baselines', 'approve', ...BASELINE, ...why, '--records-a-day', String(RECORDS_A_DAY))
      await mustSay(scene, 'in-force', 'baselines')
      return asks(scene, 1, -1)
    },
    want: { status: 200 }
  },
  {
    name: 'judged from now on, honest bursts of other agents of the type pass untouched',
    shows: `acme/agent/dba/${LEARNERS} to ${LEARNERS + WORKING - 1}: questions that nobody had asked before; people/grace: vecauthz standings`,
    run: async (scene) => {
      const answer = await morning(scene, burstsOf(scene.questions.later, LEARNERS, WORKING))
      await mustSay(scene, 'Everybody stands normal.', 'standings')
      return answer
    },
    want: { status: 200 }
  },
  {
    name: 'a hijacked agent asks about salaries: within a few queries it is slowed',
    shows: `acme/agent/dba/${HIJACKED}: a burst of foreign questions, as fast as it can; people/grace: vecauthz standings`,
    run: async (scene) => {
      const answer = await untilRefused(scene, HIJACKED, scene.foreign)
      await stands(scene, HIJACKED, 'slowed', 'drift: novelty')
      return answer
    },
    want: { status: 429, reason: 'rate-exceeded' }
  },
  {
    name: 'it goes on, slowly, and is challenged (RFC 9470)',
    shows: `acme/agent/dba/${HIJACKED}: further foreign questions; people/grace: vecauthz standings`,
    run: async (scene) => {
      const answer = await untilRefused(scene, HIJACKED, scene.foreign, { patient: true })
      Object.assign(scene.found, { stepUp: answer.stepUpId ?? '', challengedAt: performance.now() })
      return answer
    },
    want: { status: 401, reason: 'step-up-required' },
    check: ({ challenge, body }, { found: { stepUp } }) => {
      const says = `request_id="${stepUp}"`
      if (stepUp === '' || !challenge?.startsWith('Bearer error="insufficient_user_authentication"')) return `the challenge is ${challenge}`
      return challenge.includes(says) && body.includes(`vecauthz step-up answer ${stepUp}`) ? undefined : `the answer says: ${body}`
    }
  },
  {
    name: 'it answers for itself: no. A supervisor answers for it: it goes on, with less than before',
    shows: `acme/agent/dba/${HIJACKED}, people/ada: vecauthz step-up answer ID; acme/agent/dba/${HIJACKED}: an honest question`,
    run: async (scene) => {
      const { err } = await command(scene, 1, dba(HIJACKED), 'step-up', 'answer', scene.found.stepUp, ...why)
      if (!err.includes('Nobody vouches for itself')) throw new Error(`refused for something else: ${err}`)
      const { out } = await command(scene, 0, APPROVER, 'step-up', 'answer', scene.found.stepUp, ...why)
      if (!out.includes(`${dba(HIJACKED)} now stands: slowed`)) throw new Error(`it says: ${out}`)
      return asks(scene, HIJACKED, -2)
    },
    want: { status: 200 }
  },
  {
    name: 'another one does the same, and nobody vouches for it: quarantined',
    shows: `acme/agent/dba/${DISOWNED}: foreign questions; people/grace: vecauthz step-up refuse ID; acme/agent/dba/${DISOWNED}: an honest question`,
    run: async (scene) => {
      const { stepUpId = 'none' } = await untilRefused(scene, DISOWNED, scene.questions.foreign.toReversed(), { patient: true })
      await mustSay(scene, `${dba(DISOWNED)} now stands: quarantine`, 'step-up', 'refuse', stepUpId, ...why)
      return asks(scene, DISOWNED, -3)
    },
    want: { status: 403, reason: 'quarantined' }
  },
  {
    name: 'one that acts for an end user is challenged: an old sign-in is no answer, nor is another user; he signs in again, and it goes on',
    shows: `acme/agent/dba/${ON_BEHALF}: foreign questions with the user's token; then vecauthz step-up answer ID --user-token FILE, three times`,
    run: async (scene) => {
      const { idp } = scene.stack
      const early = idp.token({ auth_time: Math.floor(Date.now() / 1000) - 3_600 })
      const headers = { 'x-vecauthz-subject-token': early }
      const { challenge, stepUpId } = await untilRefused(scene, ON_BEHALF, scene.questions.foreign.toReversed(), { patient: true, headers })
      if (challenge?.includes('max_age=') !== true) throw new Error(`no end user can answer: ${challenge}`)
      const again = { auth_time: Math.ceil(Date.now() / 1000) }
      await signedIn(scene, 1, stepUpId, early, 'has not authenticated since')
      await signedIn(scene, 1, stepUpId, idp.token({ ...again, sub: 'mallory' }), 'Another end user')
      await signedIn(scene, 0, stepUpId, idp.token(again), `${dba(ON_BEHALF)} now stands: slowed`)
      return asks(scene, ON_BEHALF, -6)
    },
    want: { status: 200 }
  },
  {
    name: 'a scanner reports one whose session was stolen: its next call is refused, and the receiver is paged; it reports nobody itself',
    shows: `acme/agent/dba/${REPORTED}, tools/scanner: vecauthz signal …/dba/${REPORTED} session_revoked; acme/agent/dba/${REPORTED}: an honest question, before and after`,
    run: async (scene) => {
      if ((await asks(scene, REPORTED, -7)).status !== 200) throw new Error('it is refused before anybody said anything')
      const said = ['signal', dba(REPORTED), 'session_revoked', '--id', 'case-4711', ...why]
      await command(scene, 1, dba(REPORTED), ...said)
      const { out } = await command(scene, 0, SCANNER, ...said)
      if (!out.includes('it now stands: quarantine')) throw new Error(`it says: ${out}`)
      await scene.stack.onCall.get(dba(REPORTED), 'firing', 'quarantine')
      return asks(scene, REPORTED, -7)
    },
    want: { status: 403, reason: 'quarantined' }
  },
  {
    name: 'a patient reader stays in topic, and takes all that it can get: the exposure budget is spent',
    shows: `acme/agent/dba/${READER}: ordinary questions, n_results: 20, one after the other; people/grace: vecauthz standings`,
    run: async (scene) => {
      const answer = await untilRefused(scene, READER, [...scene.questions.later], { results: 20 })
      await stands(scene, READER, 'slowed', `exposure: the exposure budget of ${RECORDS_A_DAY} records a day is spent`)
      return answer
    },
    want: { status: 429, reason: 'cost-exceeded' }
  },
  {
    name: 'honest new work looks foreign: who does much of it is slowed; what several have asked for is proposed',
    shows: `acme/agent/dba/${NEW_WORK.first} to ${NEW_WORK.first + NEW_WORK.count * NEW_WORK.rounds - 1}: some questions about web servers; acme/agent/dba/${NEWCOMER}: all of them; acme/agent/dba/${NEW_WORK.first}: an honest question`,
    run: async (scene) => {
      for (let round = 0; round < NEW_WORK.rounds; round++) await newWork(scene, round)
      // How far that brings it depends on how fast it is.
      const { reason } = await untilRefused(scene, NEWCOMER, [...scene.questions.fresh])
      if (reason !== 'rate-exceeded' && reason !== 'step-up-required') throw new Error(`it is refused for ${reason}`)
      await stands(scene, NEWCOMER, '(slowed|step-up)', '(drift|coherence): novelty')
      await mustSay(scene, /proposed +\S+: \d+ queries of spiffe:/, 'baselines')
      return asks(scene, NEW_WORK.first, -5)
    },
    want: { status: 200 }
  },
  {
    name: 'the hijacked agent asks about salaries again: the repeat is quarantined, and the test receiver is paged',
    shows: `acme/agent/dba/${HIJACKED}: further foreign questions; people/grace: vecauthz standings; the receiver refuses the page ${REFUSED_FIRST} times, then takes it`,
    run: async (scene) => {
      await sleep(Math.max(0, scene.found.challengedAt + STRIKES_APART_MS - performance.now()))
      const answer = await untilRefused(scene, HIJACKED, scene.foreign, { patient: true })
      await stands(scene, HIJACKED, 'quarantine', 'step-up-repeated: step-up number 2')
      await paged(scene, 'firing')
      return answer
    },
    want: { status: 403, reason: 'quarantined' }
  },
  {
    name: 'an operator has looked at it, and releases it; the receiver hears that it is over',
    shows: `people/ada, people/grace: vecauthz release …/dba/${HIJACKED}; acme/agent/dba/${HIJACKED}: an honest question`,
    run: async (scene) => {
      await command(scene, 1, APPROVER, 'release', dba(HIJACKED), ...why)
      await mustSay(scene, 'released: it was quarantine, and stands normal', 'release', dba(HIJACKED), ...why)
      await paged(scene, 'resolved')
      return asks(scene, HIJACKED, -4)
    },
    want: { status: 200 }
  },
  {
    name: 'an operator adopts the new work: the same alarms nobody any more',
    shows: `people/grace: vecauthz baselines adopt ID …; acme/agent/dba/${FOLLOWER}: all questions about web servers`,
    run: async (scene) => {
      // What is near enough to it is covered; the rest is proposed once more when it was asked for, in what order decides in how many goes.
      for (let round = NEW_WORK.rounds; (await adopted(scene)) > 0; ) {
        if (round >= NEW_WORK.roundsMax) throw new Error('there is always something more that is proposed')
        for (const end = round + NEW_WORK.rounds; round < end; round++) await newWork(scene, round)
      }
      const answer = await morning(scene, new Map([[FOLLOWER, scene.questions.fresh]])).catch(async (cause: Error) => {
        const { out } = await command(scene, 0, OPERATOR, 'standings')
        const { out: known } = await command(scene, 0, OPERATOR, 'baselines')
        throw new Error(`${cause.message}\n${out}\n${known}`)
      })
      const { out: after } = await command(scene, 0, OPERATOR, 'standings')
      if (after.includes(`${dba(FOLLOWER)} `)) throw new Error(`it is not at rest:\n${after}`)
      return answer
    },
    want: { status: 200 }
  }
]

/** Several agents ask the same few things, too few to be slowed. @param round other agents each time, and the next things */
async function newWork(scene: RiskScene, round: number): Promise<void> {
  const first = NEW_WORK.first + round * NEW_WORK.count
  const from = (round % NEW_WORK.rounds) * NEW_WORK.questions
  const questions = scene.questions.fresh.slice(from, from + NEW_WORK.questions)
  await morning(scene, new Map(Array.from({ length: NEW_WORK.count }, (_, at) => [first + at, questions])))
}

/** Adopts what is proposed, as an operator would who reads who asked there. @returns how many */
async function adopted(scene: RiskScene): Promise<number> {
  for (let count = 0; ; count++) {
    const { out } = await command(scene, 0, OPERATOR, 'baselines')
    // What takes somebody who insists is not adopted in passing. With one adopted, others may be over.
    const [, id] = /proposed +(\S+):(?!.*--anyway)/.exec(out) ?? []
    if (id === undefined) return count
    await mustSay(scene, 'done: adopt', 'baselines', 'adopt', id, ...BASELINE, ...why)
  }
}

/** An end user's token is brought, by the agent itself: it is the token that answers. @throws Error when the command says something else */
async function signedIn(scene: RiskScene, exit: number, id: string | undefined, token: string, says: string): Promise<void> {
  const file = join(scene.stack.folder, 'user-token')
  writeFileSync(file, token, { mode: 0o600 })
  const { out, err } = await command(scene, exit, dba(ON_BEHALF), 'step-up', 'answer', id ?? 'none.1', '--user-token', file, ...why)
  if (!`${out}${err}`.includes(says)) throw new Error(`it says: ${out}${err}`)
}

/** The page about the hijacked agent: it came, signed, once taken and never again, with the decisions that show why. */
async function paged({ stack: { onCall } }: RiskScene, state: PageGot['state']): Promise<void> {
  const { key, severity, cause, decision_ids: decisions } = await onCall.get(dba(HIJACKED), state, 'quarantine')
  if (severity !== 'critical' || cause !== 'step-up-repeated' || decisions.length === 0)
    throw new Error(`the page says: ${severity}, ${cause}, ${decisions.length} decisions`)
  const tries = onCall.tries.get(`${key}.${state}`)
  if (tries !== REFUSED_FIRST + 1) throw new Error(`it was sent ${tries} times`)
}

/** An ordinary question; what reached Chroma is counted for it alone. @param at which one; negative: of those not learnt from, from their end */
function asks(scene: RiskScene, number: number, at: number): Promise<Answer> {
  const { own, later } = scene.questions
  const title = at < 0 ? later.at(at) : own[at]
  if (title === undefined) throw new Error(`there is no question ${at}`)
  scene.stack.recorder.clear()
  return search(scene, number, title)
}

/** @throws Error unless an operator sees it so */
async function stands(scene: RiskScene, number: number, standing: string, because: string): Promise<void> {
  await mustSay(scene, new RegExp(`${dba(number)}  ${standing}\\n  why +${because}`), 'standings')
}
