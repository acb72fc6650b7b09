/** The harness around go-spiffe, where Go is on PATH. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')
const HARNESS = join(import.meta.dirname, 'go-spiffe')
const JUDGE = join(ROOT, '.run/go-spiffe-judge')
const BUILD_MS = 240_000
const ANSWERS_BYTES_MAX = 64 * 1024 * 1024

/**
 * Builds the harness. A text says why this judge is missing: no Go, or no way to fetch go-spiffe. A harness that does not compile
 * throws.
 */
export async function buildGoSpiffe(): Promise<string | undefined> {
  const missing = (await fault('version')) ?? (await fault('mod', 'download'))
  if (missing !== undefined) return `go-spiffe has no say: ${missing}`
  await mkdir(join(ROOT, '.run'), { recursive: true })
  const broken = await fault('build', '-o', JUDGE, '.')
  if (broken !== undefined) throw new Error(`the go-spiffe harness does not build: ${broken}`)
  return undefined
}

async function fault(...args: readonly string[]): Promise<string | undefined> {
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' }
  try {
    await promisify(execFile)('go', args, { cwd: HARNESS, env, timeout: BUILD_MS })
    return undefined
  } catch (cause) {
    const { code, stderr = '' } = cause as { code?: unknown; stderr?: string }
    return code === 'ENOENT' ? 'go is not on PATH' : `go ${args[0]} failed: ${stderr.trim()}`
  }
}

/** The verdict of go-spiffe as `go-spiffe/main.go` writes it. */
interface Answer {
  readonly id?: string
  /** Of a token that is accepted. */
  readonly audience?: readonly string[]
  /** Seconds since the epoch. */
  readonly expiry?: number
  readonly error?: string
}

/** Questions as `go-spiffe/main.go` reads them; one answer to each. */
export function askGoSpiffe(questions: readonly object[]): readonly Answer[] {
  const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('')
  const run = spawnSync(JUDGE, { input, encoding: 'utf8', maxBuffer: ANSWERS_BYTES_MAX })
  if (run.status !== 0) throw new Error(`the go-spiffe harness failed: ${run.stderr}`)
  const answers = run.stdout.trimEnd().split('\n')
  if (answers.length !== questions.length) throw new Error(`${answers.length} answers of go-spiffe to ${questions.length} questions`)
  return answers.map((line) => JSON.parse(line) as Answer)
}
