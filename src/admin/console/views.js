/** The pages. Each is a function from what the server says to elements; `act` posts and shows the page again. */
import { ask, chart, chip, facts, h, link, number, table, time } from './elements.js'

const FILTERS = [
  ['verdict', (one) => one.verdict],
  ['reason', (one) => one.reason ?? ''],
  ['workload', (one) => one.workload ?? ''],
  ['tenant', (one) => one.tenant ?? ''],
  ['collection', (one) => one.collections.join(' ')]
]

/** @param filter words, each of which must be somewhere in a decision; `name:word` only there */
export function passes(one, filter) {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .every((word) => {
      const [name, rest] = word.split(/:(.*)/s)
      const its = FILTERS.find(([known]) => known === name)
      const places = rest === undefined || its === undefined ? FILTERS.map(([, of]) => of(one)) : [its[1](one)]
      const wanted = rest === undefined || its === undefined ? word : rest
      return places.some((text) => text.toLowerCase().includes(wanted))
    })
}

export function decisionRow(one) {
  const what = [one.operation, one.collections.join(', ')].filter(Boolean).join(' ')
  const where = one.tenant === undefined ? (one.database ?? '') : `${one.tenant} in ${one.database ?? '?'}`
  const prose =
    one.verdict === 'allow' ? (one.judged === undefined ? 'Allowed.' : `Let pass by shadow; it would be ${one.judged}.`) : one.tells
  return h(
    'tr',
    { class: one.verdict, tabindex: 0 },
    h('td', {}, time(one.at)),
    h('td', {}, chip(one.verdict), one.standing === undefined || one.standing === 'normal' ? undefined : chip(one.standing)),
    h('td', {}, one.workload === undefined ? 'nobody' : link('workload', one.workload, one.workload)),
    h('td', {}, what, h('br'), h('small', {}, where)),
    h(
      'td',
      {},
      h('p', {}, prose),
      one.because === undefined ? undefined : h('small', {}, one.because),
      ...one.causes.map((cause) => h('small', {}, cause))
    ),
    h('td', {}, h('code', {}, one.id), h('br'), h('small', {}, `${one.latency_us} µs`))
  )
}

export function live({ decisions, filter, onFilter, paused, onPause }) {
  const input = h('input', {
    id: 'filter',
    type: 'search',
    value: filter,
    placeholder: 'verdict:deny tenant:acme …',
    oninput: (event) => onFilter(event.target.value)
  })
  return [
    h('h1', {}, 'Decisions, as they are made'),
    h(
      'div',
      { class: 'bar' },
      h('label', { for: 'filter' }, 'Show'),
      input,
      h('button', { type: 'button', onclick: onPause, 'aria-pressed': paused }, paused ? 'Go on' : 'Pause')
    ),
    table(
      ['When', 'Verdict', 'Workload', 'What', 'Why', 'Decision'],
      decisions
        .filter((one) => passes(one, filter))
        .slice(0, 200)
        .map(decisionRow),
      'None yet.'
    )
  ]
}

export function workloads({ workloads: all, more }, standings) {
  const standingOf = new Map(standings.filter(({ scope }) => scope.workload !== undefined).map((one) => [one.scope.workload, one.standing]))
  const rows = all.map((one) => {
    const refused = Object.values(one.denied).reduce((sum, count) => sum + count, 0)
    return h(
      'tr',
      { tabindex: 0 },
      h('td', {}, link('workload', one.id, one.id)),
      h('td', {}, chip(standingOf.get(one.id) ?? 'normal')),
      h('td', {}, one.listed ? one.tenants.join(', ') : chip('not in the policy', 'deny')),
      h('td', {}, one.owner ?? ''),
      h('td', {}, one.agent_type ?? ''),
      h('td', { class: 'number' }, one.allowed),
      h('td', { class: 'number' }, refused),
      h('td', {}, time(one.last_at))
    )
  })
  return [
    h('h1', {}, 'Workloads that have called'),
    table(['Workload', 'Standing', 'Tenants', 'Owner', 'Agent type', 'Allowed', 'Refused', 'Last seen'], rows, 'Nobody has called yet.'),
    more ? h('p', {}, 'There are more than these.') : undefined
  ]
}

export function workload(one, act) {
  const held = one.standing !== 'normal'
  const release = () =>
    ask(
      {
        title: `Release ${one.id}`,
        says: 'It stands normal again on every replica, and what was gathered against it is forgotten.',
        verb: 'Release'
      },
      (reason) => act('/v1/standings/release', { scope: { workload: one.id }, reason })
    )
  const revoke = () =>
    ask(
      {
        title: `Revoke ${one.id}`,
        says: 'Every call of this identity is refused from now on, on every replica, until somebody takes it back.',
        verb: 'Revoke'
      },
      (reason) => act('/v1/revocations', { spiffe_id: one.id, reason })
    )
  const budget = one.budget_left
  return [
    h('h1', {}, one.id),
    h('p', {}, chip(one.standing), ' ', one.why === undefined ? 'Nothing is held against it.' : one.why.says),
    h(
      'div',
      { class: 'buttons' },
      h('button', { type: 'button', id: 'release', class: 'strong', disabled: !held, onclick: release }, 'Release'),
      h('button', { type: 'button', id: 'revoke', onclick: revoke }, 'Revoke')
    ),
    facts([
      ['In the policy', one.listed ? one.source : 'no'],
      ['Tenants', one.tenants?.join(', ')],
      ['Owner', one.owner],
      ['Agent type', one.agent_type],
      ['Purposes', one.purposes?.join(', ')],
      ['Acts for end users', one.delegated === true ? 'yes' : undefined],
      ['Budget', one.budget && `${one.budget.per_second} a second, ${one.budget.burst} at once`],
      [
        'Left of it',
        budget &&
          h('span', {}, h('meter', { min: 0, max: budget.limit, value: budget.remaining }), ` ${budget.remaining} of ${budget.limit}`)
      ],
      ['First seen', time(one.first_at)],
      ['Last seen', time(one.last_at)],
      ['Until', time(one.until)],
      [
        'Why',
        one.why &&
          `${one.why.cause}: ${Object.entries(one.why.figures)
            .map(([name, value]) => `${name} ${number(value)}`)
            .join(', ')}`
      ],
      ['Decisions', one.why?.decision_ids.join(', ')],
      ['Certificates', one.certificates?.join(', ')]
    ]),
    h('h2', {}, 'Drift over time'),
    one.drift.length === 0 ? h('p', { class: 'empty' }, 'No score was ever given.') : chart(one.drift),
    table(
      ['When', 'Score', 'Standing', 'Causes'],
      one.drift
        .filter(({ causes }) => causes.length > 0)
        .slice(-12)
        .reverse()
        .map(({ at, score, standing, causes }) =>
          h(
            'tr',
            {},
            h('td', {}, time(at)),
            h('td', {}, number(score)),
            h('td', {}, chip(standing)),
            h(
              'td',
              {},
              causes.map((cause) => h('p', {}, cause))
            )
          )
        ),
      'No cause was named.'
    ),
    h('h2', {}, 'What is normal for its type'),
    table(
      ['Tenant', 'Collection', 'Learning', 'Neighbourhoods, approved', 'Neighbourhoods, new'],
      one.normal.map((its) => normalRow(its, act)),
      'Nothing is learnt of its type.'
    ),
    h('h2', {}, 'What it used'),
    table(
      ['Tenant', 'Collection', 'Action', 'Times'],
      one.used.map((its) =>
        h('tr', {}, h('td', {}, its.tenant), h('td', {}, its.collection), h('td', {}, its.action), h('td', { class: 'number' }, its.count))
      ),
      'Nothing yet.'
    ),
    h('h2', {}, 'What it was refused for'),
    table(
      ['Reason', 'Times'],
      Object.entries(one.denied ?? {}).map(([reason, count]) => h('tr', {}, h('td', {}, reason), h('td', { class: 'number' }, count))),
      'Nothing.'
    )
  ]
}

function normalRow(its, act) {
  const learning = its.learning
  const progress =
    learning === undefined
      ? its.state
      : `${its.state}: ${learning.queries} queries in ${learning.bursts} bursts, ${learning.burstsToJudge} more until it judges`
  const who = ({ workload, queries, standing, raised_meanwhile: raised }) =>
    `${workload} (${queries}${standing === 'normal' ? '' : `, ${standing}`}${raised ? ', does not count' : ''})`
  const adopt = (proposal) =>
    ask(
      {
        title: 'Make this neighbourhood normal',
        says:
          `${proposal.queries} queries of ${its.agent_type} in ${its.tenant}, ${its.collection}, by ${proposal.supporters.map(who).join(', ')}.` +
          (proposal.doubts === undefined ? '' : ` ${proposal.doubts}.`),
        verb: proposal.doubts === undefined ? 'Adopt' : 'Adopt anyway'
      },
      (reason) =>
        act('/v1/baselines/adopt', {
          tenant: its.tenant,
          agent_type: its.agent_type,
          collection: its.collection,
          proposal: proposal.id,
          anyway: proposal.doubts !== undefined,
          reason
        })
    )
  return h(
    'tr',
    {},
    h('td', {}, its.tenant),
    h('td', {}, its.collection),
    h('td', {}, progress),
    h('td', {}, its.neighbourhoods === undefined ? 'none' : `${its.neighbourhoods} of ${its.queries} queries, by ${its.approved_by}`),
    h(
      'td',
      {},
      its.proposals.length === 0
        ? 'none'
        : its.proposals.map((one) => h('button', { type: 'button', onclick: () => adopt(one) }, `${one.id}: ${one.queries} queries`))
    )
  )
}

export function inbox({ alerts }, { approvals }, { standings }, act) {
  const open = alerts.filter((one) => one.acknowledged === undefined)
  return [
    h('h1', {}, 'What waits for somebody'),
    h('h2', {}, `Alerts (${open.length})`),
    table(
      ['Last', 'What', 'About', 'Times', ''],
      open.map((one) => alertRow(one, act)),
      'None.'
    ),
    h('h2', {}, `Approvals (${approvals.filter(({ state }) => state === 'waiting').length})`),
    table(
      ['Asked', 'Who', 'What', 'State', ''],
      approvals.map((one) => approvalRow(one, act)),
      'None.'
    ),
    h('h2', {}, `Not normal (${standings.length})`),
    table(
      ['Who', 'Standing', 'Why', 'Until', ''],
      standings.map((one) => standingRow(one, act)),
      'Everybody stands normal.'
    ),
    h('h2', {}, 'Done'),
    table(
      ['When', 'About', 'By', 'Reason', 'As'],
      alerts
        .filter((one) => one.acknowledged !== undefined)
        .map(({ subject, acknowledged: done }) =>
          h(
            'tr',
            {},
            h('td', {}, time(done.at)),
            h('td', {}, subject),
            h('td', {}, done.by),
            h('td', {}, done.reason),
            h('td', {}, done.as)
          )
        ),
      'Nothing yet.'
    )
  ]
}

function alertRow(one, act) {
  const say = (as, title, says) =>
    ask({ title, says, verb: 'Yes' }, (reason) =>
      act(`/v1/alerts/${encodeURIComponent(one.id)}/acknowledge`, { as, reason, count: one.count })
    )
  const seen = () => say('seen', 'Acknowledge', `${one.subject}: ${one.says}`)
  const wrong = () =>
    say('false-positive', 'A false positive', `${one.subject} is released, and what it did can be made normal on its page.`)
  const about = one.subject.startsWith('spiffe://') ? link('workload', one.subject, one.subject) : one.subject
  return h(
    'tr',
    { tabindex: 0 },
    h('td', {}, time(one.last_at)),
    h('td', {}, chip(one.severity), ' ', one.says),
    h('td', {}, about),
    h('td', { class: 'number' }, one.count),
    h(
      'td',
      { class: 'buttons' },
      h('button', { type: 'button', class: 'acknowledge', onclick: seen }, 'Acknowledge'),
      h('button', { type: 'button', class: 'wrong', onclick: wrong }, 'False positive')
    )
  )
}

function approvalRow(one, act) {
  const decide = (verb) =>
    ask(
      {
        title: `${verb === 'approve' ? 'Approve' : 'Refuse'} ${one.operation} for ${one.caller}`,
        says: `${one.tenant} in ${one.database}: ${one.targets.join(', ')}`,
        verb: verb === 'approve' ? 'Approve' : 'Refuse'
      },
      (reason) => act(`/v1/approvals/${encodeURIComponent(one.id)}/${verb}`, { reason })
    )
  const waits = one.state === 'waiting'
  return h(
    'tr',
    { tabindex: 0 },
    h('td', {}, time(one.asked_at)),
    h('td', {}, link('workload', one.caller, one.caller)),
    h('td', {}, `${one.operation} ${one.targets.join(', ')}`, h('br'), h('small', {}, `${one.tenant} in ${one.database}`)),
    h('td', {}, one.state),
    h(
      'td',
      { class: 'buttons' },
      waits ? h('button', { type: 'button', class: 'approve', onclick: () => decide('approve') }, 'Approve') : undefined,
      waits ? h('button', { type: 'button', class: 'refuse', onclick: () => decide('refuse') }, 'Refuse') : undefined
    )
  )
}

function standingRow(one, act) {
  const { scope } = one
  const name = scope.workload ?? `${scope.agent_type} in ${scope.tenant}/${scope.database}/${scope.collection}`
  const release = () =>
    ask({ title: `Release ${name}`, says: one.says, verb: 'Release' }, (reason) => act('/v1/standings/release', { scope, reason }))
  const answer = (verdict) =>
    ask(
      {
        title: verdict === 'approve' ? `Vouch for ${name}` : `Refuse ${name}`,
        says: one.says,
        verb: verdict === 'approve' ? 'Vouch' : 'Quarantine'
      },
      (reason) => act(`/v1/step-ups/${encodeURIComponent(one.id)}/answer`, { verdict, reason })
    )
  const isStepUp = one.standing === 'step-up'
  return h(
    'tr',
    { tabindex: 0 },
    h('td', {}, scope.workload === undefined ? name : link('workload', name, name)),
    h('td', {}, chip(one.standing)),
    h('td', {}, one.says, h('br'), h('small', {}, one.cause)),
    h('td', {}, time(one.until)),
    h(
      'td',
      { class: 'buttons' },
      isStepUp ? h('button', { type: 'button', onclick: () => answer('approve') }, 'Vouch') : undefined,
      isStepUp ? h('button', { type: 'button', onclick: () => answer('refuse') }, 'Refuse') : undefined,
      h('button', { type: 'button', class: 'release', onclick: release }, 'Release')
    )
  )
}

const ACTIONS = ['search', 'read', 'write', 'delete', 'define', 'drop', 'export', 'observe']

export function matrix({ since, rows, more }) {
  const cell = (row, action) => {
    const allowed = row.actions.includes(action)
    const used = row.used[action]
    if (!allowed) return h('td', { class: 'no' }, used === undefined ? '' : `used ${used}, no longer allowed`)
    return h('td', { class: used === undefined ? 'allowed' : 'used' }, used === undefined ? 'allowed' : `used ${used}`)
  }
  return [
    h('h1', {}, `Who may what, and what of it was used since ${since.slice(0, 10)}`),
    table(
      ['Tenant', 'Database', 'Collection', ...ACTIONS],
      rows.map((row) =>
        h(
          'tr',
          {},
          h('td', {}, row.tenant),
          h('td', {}, row.database),
          h(
            'td',
            { title: row.source },
            row.namespace === '' ? row.collection : `${row.namespace}/${row.collection}`,
            row.conditional ? h('small', {}, ' with conditions') : undefined
          ),
          ...ACTIONS.map((action) => cell(row, action))
        )
      ),
      'The policy allows nothing.'
    ),
    more ? h('p', {}, 'There are more rows than these.') : undefined
  ]
}

/** Text that goes into a YAML or a shell line must not be able to leave it. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const PATH = /^(\/[A-Za-z0-9._-]+)+$/

export function onboard({ trust_domains: domains, tenants, databases }) {
  const field = (id, label, input) => h('p', {}, h('label', { for: id }, label), input)
  const select = (id, all) => h('select', { id }, ...all.map((one) => h('option', { value: one }, one)))
  const out = h('pre', { id: 'stub', tabindex: 0 })
  const value = (id) => document.getElementById(id).value.trim()
  const make = (event) => {
    event.preventDefault()
    const [path, owner, type, collection] = [value('path'), value('owner'), value('type'), value('collection')]
    const wrong = [
      [PATH.test(path), 'The path is like /acme/agent/support.'],
      [NAME.test(owner), 'The owner is a name of letters, digits, ".", "_" and "-".'],
      [NAME.test(type), 'The agent type is a name of letters, digits, ".", "_" and "-".'],
      [NAME.test(collection), 'The collection is a name of letters, digits, ".", "_" and "-".']
    ].find(([good]) => !good)
    out.textContent =
      wrong === undefined
        ? stub({ id: `spiffe://${value('domain')}${path}`, owner, type, collection, tenant: value('tenant'), database: value('database') })
        : wrong[1]
  }
  return [
    h('h1', {}, 'A new agent'),
    h(
      'p',
      {},
      'Makes the registration entry for SPIRE and the part of the policy. Nothing is sent: put them where yours are kept, and have them reviewed.'
    ),
    h(
      'form',
      { id: 'onboard', onsubmit: make },
      field('domain', 'Trust domain', select('domain', domains)),
      field('path', 'Path', h('input', { id: 'path', placeholder: '/acme/agent/support', required: true })),
      field('owner', 'Owner', h('input', { id: 'owner', placeholder: 'search-team', required: true })),
      field('type', 'Agent type', h('input', { id: 'type', placeholder: 'support', required: true })),
      field('tenant', 'Tenant', select('tenant', tenants)),
      field(
        'database',
        'Database',
        select(
          'database',
          databases.map(({ id }) => id)
        )
      ),
      field('collection', 'Collection', h('input', { id: 'collection', placeholder: 'handbook', required: true })),
      h('button', { type: 'submit', class: 'strong' }, 'Make')
    ),
    out
  ]
}

function stub({ id, owner, type, collection, tenant, database }) {
  return `# SPIRE: who gets this identity. Take the selectors of your own platform.
spire-server entry create -spiffeID ${id} \\
  -parentID spiffe://${id.split('/')[2]}/agent \\
  -selector k8s:ns:${tenant} -selector k8s:sa:${type} -x509SVIDTTL 3600

# policy.yaml
workloads:
  - spiffe_id: ${id}
    tenants: [${tenant}]
    owner: ${owner}
    agent_type: ${type}
collections:
  - database: ${database}
    names: [${collection}]
    tenancy: path # as your database keeps tenants apart
    allow:
      - tenants: [${tenant}]
        workloads: [${id}]
        actions: [search, read, observe]
`
}

export function system(state, { revocations }, act) {
  const lift = ({ kind, value }) =>
    ask({ title: `Take back: ${value}`, says: 'What it names may call again, if the policy says so.', verb: 'Take back' }, (reason) =>
      act('/v1/revocations/lift', { [kind]: value, reason })
    )
  const { policy } = state
  return [
    h('h1', {}, 'This server'),
    facts([
      ['Ready', state.ready ? chip('yes', 'allow') : h('span', {}, chip('no', 'deny'), ' ', state.not_ready_because ?? '')],
      ['Role', state.role],
      ['Identity', state.spiffe_id],
      ['Our SVID ends', time(state.svid_ends)],
      ['Trust bundles heard', state.trust_seconds === undefined ? undefined : `${state.trust_seconds} s ago`],
      ['Policy', h('code', {}, policy.revision.slice(0, 12))],
      ['In force since', time(policy.since)],
      ['Mode', policy.shadow ? chip('shadow: nothing of the policy is enforced', 'step-up') : 'enforced'],
      ['Standings heard', state.standings_stale_seconds === undefined ? undefined : `${state.standings_stale_seconds} s ago`],
      ['Records that could not be kept', state.audit_refused],
      ['Decisions that wait', state.pending],
      ['Started', time(state.started)]
    ]),
    policy.faults.length === 0
      ? undefined
      : [h('h2', {}, 'A newer policy has faults'), h('ul', {}, ...policy.faults.map((one) => h('li', {}, one)))],
    h('h2', {}, 'Databases'),
    table(
      ['Database', 'Kind', 'Names', 'Credentials'],
      state.databases.map((one) =>
        h(
          'tr',
          {},
          h('td', {}, one.id),
          h('td', {}, one.kind),
          h('td', {}, one.authorities.join(', ')),
          h('td', {}, credentialsOf(state, one.id))
        )
      ),
      'None.'
    ),
    h('h2', {}, 'Revoked by hand'),
    table(
      ['When', 'What', 'By', 'Why', ''],
      revocations.map((one) =>
        h(
          'tr',
          {},
          h('td', {}, time(one.at)),
          h('td', {}, one.value),
          h('td', {}, one.by),
          h('td', {}, one.reason),
          h('td', { class: 'buttons' }, h('button', { type: 'button', onclick: () => lift(one) }, 'Take back'))
        )
      ),
      'Nothing, beside the policy.'
    )
  ]
}

function credentialsOf({ credentials }, id) {
  const its = credentials.find(({ database }) => database === id)
  if (its === undefined) return 'none asked for'
  return its.missing === 0 ? `${its.wanted} there` : chip(`${its.missing} of ${its.wanted} missing`, 'deny')
}
