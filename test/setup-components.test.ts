import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  CHROMA_VERSION,
  chromaCommand,
  ENVOY_VERSION,
  envoyBinary,
  milvusLiteCommand,
  redisBinary,
  weaviateBinary,
  whyLeftOut
} from '../setup/components.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'components-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => vi.unstubAllEnvs())

// A good answer is remembered by the module, so in each group the refused rows come before the accepted one.

describe('an Envoy of one’s own', () => {
  it('must be there', () => {
    vi.stubEnv('VECAUTHZ_ENVOY_BIN', join(folder, 'nothing'))
    expect(() => envoyBinary()).toThrow(/^Envoy is not at .*nothing\. Remedy: correct or unset VECAUTHZ_ENVOY_BIN$/)
  })

  it.each(['1.40.1', '1.4', '1.40.0-dev', '11.40.0'])('must be the pinned version, not %s', (version) => {
    vi.stubEnv('VECAUTHZ_ENVOY_BIN', envoySaying(version))
    expect(() => envoyBinary()).toThrow(`is not version ${ENVOY_VERSION}`)
  })

  it('must run', () => {
    vi.stubEnv('VECAUTHZ_ENVOY_BIN', script('broken', 'exit 127'))
    expect(() => envoyBinary()).toThrow(/does not run on this machine\. Remedy: /)
  })

  it('is used when it is the pinned version', () => {
    const path = envoySaying(ENVOY_VERSION)
    vi.stubEnv('VECAUTHZ_ENVOY_BIN', path)
    expect(envoyBinary()).toBe(path)
  })
})

describe('a Chroma of one’s own', () => {
  it('must be there', () => {
    vi.stubEnv('VECAUTHZ_CHROMA_BIN', join(folder, 'nothing'))
    expect(() => chromaCommand()).toThrow(/Remedy: correct or unset VECAUTHZ_CHROMA_BIN$/)
  })

  it.each(['1.5.8', '1.5.90', '11.5.9'])('must be the pinned version, not %s', (version) => {
    vi.stubEnv('VECAUTHZ_CHROMA_BIN', environmentWith(version))
    expect(() => chromaCommand()).toThrow(`but: chromadb-${version}.dist-info`)
  })

  it('must have its package beside it', () => {
    vi.stubEnv('VECAUTHZ_CHROMA_BIN', script('chroma', 'exit 0'))
    expect(() => chromaCommand()).toThrow('no chromadb beside it')
  })

  it('is used when it is the pinned version', () => {
    const command = environmentWith(CHROMA_VERSION)
    vi.stubEnv('VECAUTHZ_CHROMA_BIN', command)
    expect(chromaCommand()).toEqual({ command, args: [] })
  })
})

describe.each([
  { name: 'redis-server', variable: 'VECAUTHZ_REDIS_BIN', found: () => redisBinary(), is: (path: string): unknown => path },
  { name: 'weaviate-server', variable: 'VECAUTHZ_WEAVIATE_BIN', found: () => weaviateBinary(), is: (path: string): unknown => path },
  {
    name: 'milvus-lite',
    variable: 'VECAUTHZ_MILVUS_LITE_BIN',
    found: () => milvusLiteCommand(),
    is: (path: string): unknown => ({ command: path, args: [] })
  }
] as const)('a $name of one’s own', ({ name, variable, found, is }) => {
  it('must be there', () => {
    vi.stubEnv(variable, join(folder, 'nothing'))
    expect(found).toThrow(`Remedy: correct or unset ${variable}`)
  })

  it('is used, and never left out', () => {
    const path = script(name, 'exit 0')
    vi.stubEnv(variable, path)
    expect(found()).toEqual(is(path))
    expect(whyLeftOut(name)).toBeUndefined()
  })
})

function script(name: string, body: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}

function envoySaying(version: string): string {
  return script(`envoy-${version}`, `echo "envoy  version: 9e5580933739/${version}/Clean/RELEASE/BoringSSL"`)
}

/** The `chroma` command of a Python environment that has this version of chromadb. */
function environmentWith(version: string): string {
  mkdirSync(join(folder, version, 'bin'), { recursive: true })
  mkdirSync(join(folder, version, `lib/python3.12/site-packages/chromadb-${version}.dist-info`), { recursive: true })
  return script(`${version}/bin/chroma`, 'exit 0')
}
