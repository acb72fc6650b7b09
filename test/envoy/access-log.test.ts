/** What Envoy tells of answers, from bytes: what is read, and that nothing else makes it fail. */
import { BinaryWriter } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readAccessLog } from '../../src/envoy/access-log.ts'

const message = (write: (to: BinaryWriter) => void) => {
  const to = new BinaryWriter()
  write(to)
  return to.finish()
}
const sub = (to: BinaryWriter, field: number, bytes: Uint8Array) => to.uint32((field << 3) | 2).bytes(bytes)
const texts = (pairs: readonly (readonly [number, string])[]) =>
  message((to) => {
    for (const [field, text] of pairs) to.uint32((field << 3) | 2).string(text)
  })

interface Entry {
  readonly metadata?: Readonly<Record<string, string>>
  readonly filter?: string
  readonly peers?: readonly string[]
  readonly reached?: boolean
  readonly status?: number
  readonly bytes?: number
}

function entry({ metadata = {}, filter = 'envoy.filters.http.ext_authz', peers = [], reached = false, status, bytes }: Entry): Uint8Array {
  const struct = message((to) => {
    for (const [name, value] of Object.entries(metadata)) {
      const field = message((its) => {
        its.uint32((1 << 3) | 2).string(name)
        sub(its, 2, texts([[3, value]]))
      })
      sub(to, 1, field)
    }
  })
  const filterEntry = message((to) => sub(to.uint32((1 << 3) | 2).string(filter), 2, struct))
  const peer = message((to) => {
    for (const name of peers) sub(to, 1, texts([[1, name]]))
  })
  const common = message((to) => {
    sub(
      to,
      4,
      message((tls) => sub(tls, 5, peer))
    )
    if (reached) sub(to, 13, texts([[1, 'somewhere']]))
    sub(
      to,
      17,
      message((all) => sub(all, 1, filterEntry))
    )
  })
  const response = message((to) => {
    if (status !== undefined)
      sub(
        to,
        1,
        message((code) => code.uint32(1 << 3).uint32(status))
      )
    if (bytes !== undefined) to.uint32(3 << 3).uint64(bytes)
  })
  return message((to) => sub(sub(sub(to, 1, common), 3, texts([[3, 'chroma.test:443']])), 4, response))
}

function log(...entries: readonly Uint8Array[]): Buffer {
  const logs = message((to) => {
    for (const one of entries) sub(to, 1, one)
  })
  return Buffer.from(message((to) => sub(to, 2, logs)))
}

describe('an access log of Envoy', () => {
  it('tells the decision, the peer, and how much came back', () => {
    const metadata = { decision_id: 'd-1', verdict: 'allow', tenant: 'acme' }
    const seen = readAccessLog(log(entry({ metadata, peers: ['spiffe://x.test/a', 'y'], reached: true, status: 200, bytes: 5_000_000 })))
    expect(seen).toEqual([
      {
        decisionId: 'd-1',
        verdict: 'allow',
        workload: 'spiffe://x.test/a',
        authority: 'chroma.test:443',
        reached: true,
        status: 200,
        bytes: 5_000_000,
        flags: []
      }
    ])
  })

  it('knows no decision where another filter claims one', () => {
    const [seen] =
      readAccessLog(log(entry({ filter: 'some.other', metadata: { decision_id: 'd-1', verdict: 'allow' }, reached: true }))) ?? []
    expect(seen).toMatchObject({ decisionId: '', verdict: '', reached: true, status: 0, bytes: 0 })
  })

  it('has one row for each entry', () => {
    expect(readAccessLog(log(entry({}), entry({ status: 503 })))?.map(({ status }) => status)).toEqual([0, 503])
    expect(readAccessLog(Buffer.alloc(0))).toEqual([])
  })

  it('whatever comes is read or is no access log, and nothing is thrown', () => {
    const whole = log(entry({ metadata: { decision_id: 'd', verdict: 'allow' }, peers: ['spiffe://x.test/a'], reached: true, status: 200 }))
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(whole)
        changed[at] = byte
        readAccessLog(changed)
      })
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readAccessLog(Buffer.from(bytes))))
    expect(readAccessLog(whole.subarray(0, whole.length - 1))).toBeUndefined()
  })
})
