/** The audit of a real server under load, in short: `npm run audit:campaign` does the same for longer and faster. */
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { diskFull, downAtEnd, killed, sinkDown, slowSink, verified } from '../../bench/audit-campaign.ts'
import { type AuditStage, openAuditStage, startLoad } from '../../bench/audit-server.ts'
import { GATEWAY_SERVER, INDEXER, SUPPORT, TRUST_DOMAIN } from '../../demo/identities.ts'

const root = mkdtempSync(join(tmpdir(), 'aud-'))
const SHORT = { rate: 150, seconds: 2 }
let stage: AuditStage

beforeAll(async () => {
  stage = await openAuditStage(join(root, 's'))
})

afterAll(async () => {
  await stage?.close()
  rmSync(root, { recursive: true, force: true })
})

describe('records under load', () => {
  it('with a sink that takes 200 ms and SIGTERM in the middle: every answer is on record, at the sink and in the file', async () => {
    const { code, answers, unrecorded, missingAtSink, missingInFile, verdict } = await slowSink(stage, SHORT)
    expect(answers).toBeGreaterThan(50)
    expect({ code, unrecorded, missingAtSink, missingInFile }).toEqual({ code: 0, unrecorded: 0, missingAtSink: 0, missingInFile: 0 })
    expect(verdict).toMatchObject({ code: 0, findings: [], chains: [{ stream: 'agents', ended: true }, { stream: 'people' }] })
  })

  it('and what is changed, taken away or moved in that file afterwards is found', async () => {
    const lines = readFileSync(join(stage.folder, 'slow.jsonl'), 'utf8').trimEnd().split('\n')
    const [third, fourth] = [lines[2] as string, lines[3] as string]
    const changed = third.includes('"allow"') ? third.replace('"allow"', '"deny" ') : third.replace('"deny"', '"allow"')
    const forgeries = {
      altered: lines.with(2, changed),
      removed: lines.toSpliced(2, 1),
      reordered: lines.with(2, fourth).with(3, third),
      inserted: lines.toSpliced(2, 0, third.replace(/,"chain":.*$/, '}')),
      cut: lines.slice(0, -3)
    }
    for (const [kind, forged] of Object.entries(forgeries)) {
      const file = join(stage.folder, `${kind}.jsonl`)
      writeFileSync(file, `${forged.join('\n')}\n`)
      const { code, findings } = await verified([file], join(stage.folder, 'slow-anchors.jsonl'), stage.bundleFile)
      expect([code, findings.map((one) => one.kind)]).toEqual([1, [kind]])
      expect(findings[0]?.at).toBe(`${file}:${kind === 'cut' ? lines.length - 3 : kind === 'reordered' ? 4 : 3}`)
    }
  })

  it('heads that somebody else signed, or that were changed, count for nothing', async () => {
    const anchors = readFileSync(join(stage.folder, 'slow-anchors.jsonl'), 'utf8').trimEnd().split('\n')
    const last = JSON.parse(anchors.at(-1) as string) as { jws: string }
    const [header, body, signature] = last.jws.split('.') as [string, string, string]
    const claims = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), n: 99 }
    const forged = { ...last, jws: [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.') }
    const file = join(stage.folder, 'forged-anchors.jsonl')
    writeFileSync(file, `${[...anchors.slice(0, -1), JSON.stringify(forged)].join('\n')}\n`)
    const { code, findings } = await verified([join(stage.folder, 'slow.jsonl')], file, stage.bundleFile)
    expect([code, findings]).toMatchObject([1, [{ kind: 'bad-anchor', at: `${file}:${anchors.length}` }]])
  })

  it('killed: what is lost lies in the last second, and a sink that was behind is found to be', async () => {
    const { lossWindowMs, inFile, far, missingFar } = await killed(stage, SHORT)
    expect(lossWindowMs).toBeLessThan(5_000)
    expect(inFile.chains[0]).toMatchObject({ ended: false })
    expect(missingFar).toBeGreaterThan(0)
    expect(far).toMatchObject({ code: 1, findings: expect.arrayContaining([expect.objectContaining({ kind: 'cut' })]) })
  })

  it('with a sink that is down: memory, disk, denial; and nothing that was promised is missing once it is back', async () => {
    const { code, refusedWhileDown, missingAtSink, log } = await sinkDown(stage, { rate: 600, seconds: 1 })
    expect(refusedWhileDown).toBeGreaterThan(0)
    expect({ code, missingAtSink }).toEqual({ code: 0, missingAtSink: 0 })
    for (const words of ['a sink does not take records; they wait', 'no room for records; calls are refused', 'delivered again'])
      expect(log).toContain(words)
  })

  it('with a sink that is down at SIGTERM: the next process brings the rest', async () => {
    const { code, answers, before, verdict } = await downAtEnd(stage, SHORT)
    expect([code, before, verdict.code]).toEqual([0, 0, 0])
    expect(answers).toBeGreaterThan(50)
  })

  it.skipIf(!existsSync('/dev/full'))('with a disk that is full: nothing passes any more', async () => {
    const { passedAfter, log } = await diskFull(stage, { rate: 600, seconds: 1 })
    expect(passedAfter).toBe(0)
    expect(log).toContain('no room for records; calls are refused')
  })
})

/** The SIEM with an SVID of `id`: takes whoever has one of the trust domain, and notes whose and which. */
async function siem(id: string, port = 0) {
  const own = stage.issuer.issueX509(id)
  const got: { readonly names: string; readonly serial: string; readonly lines: readonly string[] }[] = []
  const tls = { cert: own.chainPem, key: own.keyPem, ca: stage.issuer.bundlePem(TRUST_DOMAIN), requestCert: true, rejectUnauthorized: true }
  const server = createServer(tls, async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    const peer = (request.socket as TLSSocket).getPeerX509Certificate()
    got.push({ names: peer?.subjectAltName ?? '', serial: peer?.serialNumber ?? '', lines: body.split('\n').slice(0, -1) })
    response.writeHead(202).end()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { got, close, port: (server.address() as AddressInfo).port }
}

describe('a sink that is named by its SPIFFE ID', () => {
  it('gets what waited once it is itself, by our SVID, and by the next one after a rotation; another gets nothing', async () => {
    const WAIT = { timeout: 30_000, interval: 50 }
    // Of the trust domain, and not the one that is meant.
    const wrong = await siem(INDEXER)
    const sinks = [{ name: 'siem', http: { url: `https://127.0.0.1:${wrong.port}/in`, client: 'svid', server_id: SUPPORT } }]
    const server = await stage.start({ sinks, spill: { folder: join(stage.folder, 'siem-spill') } })
    const load = startLoad(server, stage.issuer, 20)
    await vi.waitFor(() => expect(server.log()).toContain(`is ${INDEXER}, not ${SUPPORT}, and gets nothing`), WAIT)
    expect(wrong.got).toEqual([])
    await wrong.close()
    const right = await siem(SUPPORT, wrong.port)
    await vi.waitFor(() => expect(right.got.length).toBeGreaterThan(0), WAIT)
    expect(right.got[0]?.names).toContain(GATEWAY_SERVER)
    stage.issuer.rotate(GATEWAY_SERVER)
    await vi.waitFor(() => expect(new Set(right.got.map(({ serial }) => serial)).size).toBe(2), WAIT)
    await load.stop()
    expect(await server.stop()).toBe(0)
    await right.close()
    const recorded = new Set(right.got.flatMap(({ lines }) => lines.map((one) => (JSON.parse(one) as { decision_id: string }).decision_id)))
    expect([...load.ids.keys()].filter((id) => !recorded.has(id))).toEqual([])
    expect(load.ids.size).toBeGreaterThan(0)
  })
})
