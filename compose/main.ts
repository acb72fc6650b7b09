/** What runs in the containers of compose.yaml besides the server and what others make. Not part of the product. */
import { writeSync } from 'node:fs'

const say = (line: string) => void writeSync(1, `${line}\n`)

/** Loaded when it is asked for: none of these needs the others' modules. Gives an exit code, or nothing for what goes on. */
const PROGRAMS: Readonly<Record<string, (word: string) => Promise<number | undefined>>> = {
  bootstrap: async () => (await import('./bootstrap.ts')).bootstrap(say),
  issuer: async () => (await import('./issuer.ts')).runIssuer(say),
  'spire-entries': async (socket) => (await import('./spire-entries.ts')).registerEntries(socket, say),
  witness: async () => (await import('./witness.ts')).runWitness(say),
  agent: async (name) => (await import('./agent.ts')).runAgent(name, say),
  scenario: async () => {
    process.env['VECAUTHZ_DEMO_SUFFIX'] = `-${Date.now().toString(36)}`
    return (await import('./scenario.ts')).runScenario(say)
  },
  endurance: async () => (await import('./endurance.ts')).runEndurance(say),
  before: async () => (await import('./endurance.ts')).runBefore(say),
  after: async () => (await import('./endurance.ts')).runAfter(say)
}

const [name = '', word = ''] = process.argv.slice(2)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
try {
  const program = PROGRAMS[name]
  if (program === undefined) throw new Error(`There is no program "${name}"; there are ${Object.keys(PROGRAMS).join(', ')}.`)
  const code = await program(word)
  if (code !== undefined) process.exit(code)
} catch (cause) {
  say(`${name}: ${(cause as Error).message}`)
  process.exit(2)
}
