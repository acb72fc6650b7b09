/** The real Weaviate and milvus-lite: they come up on loopback only, and never outlive who started them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { accepts } from '../../demo/database-process.ts'
import { startMilvus } from '../../demo/milvus.ts'
import { startWeaviate } from '../../demo/weaviate.ts'
import { whyLeftOut } from '../../setup/components.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'databases-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

const DATABASES = [
  { name: 'weaviate-server', module: '../../demo/weaviate.ts', start: 'startWeaviate' },
  { name: 'milvus-lite', module: '../../demo/milvus.ts', start: 'startMilvus' }
] as const

describe.each(DATABASES)('$name', ({ name, module, start }) => {
  it.for(['SIGTERM', 'SIGKILL'] as const)('leaves no process behind when its parent ends by %s', async (signal, { skip }) => {
    skip(whyLeftOut(name) !== undefined, whyLeftOut(name))
    const script = `
      import { ${start} } from ${JSON.stringify(join(import.meta.dirname, module))}
      await ${start}(${JSON.stringify(folder)})
      console.log('up')`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(createInterface(parent.stdout), 'line')
    const below = childrenOf(parent.pid ?? 0)
    expect(below.length).toBeGreaterThan(0)
    parent.kill(signal)
    await once(parent, 'exit')
    await expect.poll(() => below.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 10_000 }).toEqual([])
  })
})

describe('Weaviate', () => {
  it('has a network of its own, and sockets that only this user reaches', async ({ skip }) => {
    skip(whyLeftOut('weaviate-server') !== undefined, whyLeftOut('weaviate-server'))
    const weaviate = await startWeaviate(folder)
    try {
      skip(!weaviate.enclosed, 'this machine gives no network namespace')
      const own = readlinkSync('/proc/self/ns/net')
      const servers = childrenOf(process.pid).filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('weaviate-server'))
      expect(servers.length).toBeGreaterThan(0)
      expect(servers.map((pid) => readlinkSync(`/proc/${pid}/ns/net`)).filter((one) => one === own)).toEqual([])
      const { socketPath } = weaviate.grpc as { socketPath: string }
      expect(statSync(dirname(socketPath)).mode & 0o077).toBe(0)
      expect(await accepts(weaviate.grpc)).toBe(true)
    } finally {
      await weaviate.stop()
    }
    expect(await accepts(weaviate.grpc)).toBe(false)
    await weaviate.stop()
  })

  it('runs without one where there is none, and says so', async ({ skip }) => {
    skip(whyLeftOut('weaviate-server') !== undefined, whyLeftOut('weaviate-server'))
    vi.stubEnv('PATH', '/nowhere')
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const weaviate = await startWeaviate(folder)
    said.mockRestore()
    try {
      expect([weaviate.enclosed, weaviate.rest]).toEqual([false, { host: '127.0.0.1', port: expect.any(Number) }])
      expect(await accepts(weaviate.grpc)).toBe(true)
    } finally {
      await weaviate.stop()
    }
  })

  it('must be the pinned version', async () => {
    const script = `#!${process.execPath}
require('node:http').createServer((_, answer) => answer.end('{"version":"1.35.1"}')).listen(Number(process.argv[5]), '127.0.0.1')`
    const path = join(folder, 'weaviate.cjs')
    writeFileSync(path, script, { mode: 0o755 })
    vi.stubEnv('VECAUTHZ_WEAVIATE_BIN', path)
    await expect(startWeaviate(folder)).rejects.toThrow(/^Weaviate is not version 1\.35\.2 but 1\.35\.1\. Remedy: /)
    vi.stubEnv('VECAUTHZ_WEAVIATE_BIN', '/bin/false')
    await expect(startWeaviate(folder)).rejects.toThrow(/^Weaviate did not start: it ended with 1\./)
  })
})

describe('milvus-lite', () => {
  it('listens on loopback, and stops', async ({ skip }) => {
    skip(whyLeftOut('milvus-lite') !== undefined, whyLeftOut('milvus-lite'))
    const milvus = await startMilvus(folder)
    const { port } = milvus.grpc as { port: number }
    const hex = port.toString(16).toUpperCase().padStart(4, '0')
    const listening = ['tcp', 'tcp6'].flatMap(
      (kind) => readFileSync(`/proc/net/${kind}`, 'utf8').match(new RegExp(`[0-9A-F]+:${hex} [0:]+ 0A`, 'g')) ?? []
    )
    expect(listening).toEqual([expect.stringMatching(/^(0{16}FFFF0000)?0100007F:/)])
    expect(readdirSync(folder)).toContain('milvus.log')
    await milvus.stop()
    await milvus.stop()
    expect(await accepts(milvus.grpc)).toBe(false)
  })
})

/** Ids of every process below one, however deep. */
function childrenOf(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`)
  const direct = tasks.flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  )
  return direct.flatMap((one) => [one, ...childrenOf(one)])
}
