import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removeSdsFolder, type SdsSecrets, writeSdsFolder } from '../../src/spire/dev-sds.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sds-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function secrets(serial: string, changes: Partial<SdsSecrets> = {}): SdsSecrets {
  return { serial, chainPem: `chain ${serial}\n`, keyPem: `key ${serial}\n`, bundles: new Map([['vec.test', 'root\n']]), ...changes }
}

const text = (name: string) => readFileSync(join(folder, name), 'utf8')
const pair = () => [text('current/chain.pem'), text('current/key.pem')]

/** Names moved into the folder while `change` ran: what a watched_directory of Envoy acts on. */
async function movesDuring(change: () => void): Promise<string[]> {
  const names: string[] = []
  const watcher = watch(folder, (event, name) => {
    if (event === 'rename' && name !== null && !name.startsWith('.')) names.push(name)
  })
  change()
  await new Promise((resolve) => setTimeout(resolve, 40))
  watcher.close()
  return names
}

describe('the SDS folder of one workload', () => {
  it('holds the two secrets under the names that SPIRE gives them, as Envoy 1.40 reads them', () => {
    writeSdsFolder(
      folder,
      secrets('01', {
        bundles: new Map([
          ['vec.test', 'A\n'],
          ['partner.test', 'B\nC\n']
        ])
      })
    )
    const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
    expect(JSON.parse(text('svid.json'))).toEqual({
      resources: [
        {
          '@type': `${type}.Secret`,
          name: 'default',
          tls_certificate: {
            certificate_chain: { filename: join(folder, 'current/chain.pem') },
            private_key: { filename: join(folder, 'current/key.pem') },
            watched_directory: { path: folder }
          }
        }
      ]
    })
    expect(JSON.parse(text('bundles.json')).resources[0]).toEqual({
      '@type': `${type}.Secret`,
      name: 'ALL',
      validation_context: {
        custom_validator_config: {
          name: 'envoy.tls.cert_validator.spiffe',
          typed_config: {
            '@type': `${type}.SPIFFECertValidatorConfig`,
            trust_domains: [
              { name: 'vec.test', trust_bundle: { inline_string: 'A\n' } },
              { name: 'partner.test', trust_bundle: { inline_string: 'B\nC\n' } }
            ]
          }
        }
      }
    })
    expect(pair()).toEqual(['chain 01\n', 'key 01\n'])
  })

  it('is closed to others: files 0600, folders 0700', () => {
    writeSdsFolder(folder, secrets('01'))
    const modeOf = (name: string) => (statSync(join(folder, name)).mode & 0o777).toString(8)
    expect(['svid.json', 'bundles.json', 'current/chain.pem', 'current/key.pem'].map(modeOf)).toEqual(['600', '600', '600', '600'])
    expect(modeOf('current')).toBe('700')
  })

  it('a new SVID is one move of one link: chain and key change in the same moment, the pair before stays readable', async () => {
    writeSdsFolder(folder, secrets('01'))
    const before = readlinkSync(join(folder, 'current'))
    const moves = await movesDuring(() => writeSdsFolder(folder, secrets('02')))
    expect(new Set(moves)).toEqual(new Set(['current']))
    expect(pair()).toEqual(['chain 02\n', 'key 02\n'])
    expect(text(join(before, 'key.pem'))).toBe('key 01\n')
  })

  it('a new anchor moves bundles.json and leaves the SVID alone', async () => {
    writeSdsFolder(folder, secrets('01'))
    const moves = await movesDuring(() => writeSdsFolder(folder, secrets('01', { bundles: new Map([['vec.test', 'root\nnew\n']]) })))
    expect(new Set(moves)).toEqual(new Set(['bundles.json']))
  })

  it('writing the same again moves nothing', async () => {
    writeSdsFolder(folder, secrets('01'))
    expect(await movesDuring(() => writeSdsFolder(folder, secrets('01')))).toEqual([])
  })

  it('keeps two revisions and no leftovers', () => {
    for (const serial of ['01', '02', '03', '04']) writeSdsFolder(folder, secrets(serial))
    expect(readdirSync(folder).sort()).toEqual(['.svid-03', '.svid-04', 'bundles.json', 'current', 'svid.json'])
  })

  it('is gone, keys and all, once the identity is', () => {
    writeSdsFolder(folder, secrets('01'))
    removeSdsFolder(folder)
    expect(() => readdirSync(folder)).toThrow('ENOENT')
  })
})
