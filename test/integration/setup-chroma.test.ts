/** The real Chroma server: it comes up, is what it says it is, and never outlives who started it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startChroma } from '../../demo/chroma.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chroma-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('startChroma', () => {
  it('starts a server on loopback, and stops it', async () => {
    const chroma = await startChroma({ folder })
    try {
      expect(chroma.url).toBe(`http://127.0.0.1:${chroma.port}`)
      expect((await fetch(`${chroma.url}/api/v2/heartbeat`)).status).toBe(200)
      expect(readdirSync(join(folder, 'data'))).toContain('chroma.sqlite3')
      expect(readFileSync(chroma.logFile, 'utf8')).toContain(`127.0.0.1:${chroma.port}`)
    } finally {
      await chroma.stop()
    }
    await expect(fetch(`${chroma.url}/api/v2/heartbeat`)).rejects.toThrow()
    await chroma.stop()
  })

  it('takes the port that it is given, and refuses one that is taken', async () => {
    const chroma = await startChroma({ folder })
    try {
      await expect(startChroma({ folder: join(folder, 'second'), port: chroma.port })).rejects.toThrow(
        /^Port \d+ of 127\.0\.0\.1 is taken\. Remedy: /
      )
    } finally {
      await chroma.stop()
    }
    const again = await startChroma({ folder, port: chroma.port })
    expect(again.port).toBe(chroma.port)
    await again.stop()
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)('leaves no server behind when its parent ends by %s', async (signal) => {
    const script = `
      import { startChroma } from ${JSON.stringify(join(import.meta.dirname, '../../demo/chroma.ts'))}
      console.log((await startChroma({ folder: ${JSON.stringify(folder)} })).url)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [url] = await once(createInterface(parent.stdout), 'line')
    expect((await fetch(`${url}/api/v2/heartbeat`)).status).toBe(200)
    const [child] = readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8').trim().split(' ')
    expect(existsSync(`/proc/${child}`)).toBe(true)
    parent.kill(signal)
    await once(parent, 'exit')
    await expect.poll(() => existsSync(`/proc/${child}`), { timeout: 5_000 }).toBe(false)
    await expect(fetch(`${url}/api/v2/heartbeat`)).rejects.toThrow()
  })
})
