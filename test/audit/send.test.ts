/** Where records end: files that are put aside, collectors over HTTP, OpenTelemetry. */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openFile } from '../../src/audit/send-file.ts'
import { openHttp } from '../../src/audit/send-http.ts'

const root = mkdtempSync(join(tmpdir(), 'snd-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const HOUR = 3_600_000
const NOW = Date.UTC(2026, 10, 21, 10)

describe('a file', () => {
  const lines = (text: string) => Buffer.from(`${text}\n`)
  const filesOf = (name: string) =>
    readdirSync(root)
      .filter((one) => one.startsWith(name))
      .sort()

  it('is put aside before it grows too large, and keeps every line', async () => {
    let now = NOW
    const file = join(root, 'size.jsonl')
    const outlet = openFile({ file, rotate: { bytes: 10, ms: HOUR, keep: undefined } }, () => now)
    for (const text of ['aaaa', 'bbbb', 'cccc', 'dddd']) {
      await outlet.send(lines(text), text)
      now += 1_000
    }
    outlet.close()
    const names = filesOf('size.jsonl')
    expect(names).toEqual(['size.jsonl', 'size.jsonl.2026-11-21T10-00-02.000Z'])
    expect(names.map((name) => readFileSync(join(root, name), 'utf8'))).toEqual(['cccc\ndddd\n', 'aaaa\nbbbb\n'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('is put aside when it is old, twice in one millisecond under two names, and the oldest go', async () => {
    let now = Date.now()
    const file = join(root, 'age.jsonl')
    const outlet = openFile({ file, rotate: { bytes: 1e9, ms: HOUR, keep: 2 } }, () => now)
    for (const text of ['a', 'b', 'c', 'd', 'e']) {
      await outlet.send(lines(text), text)
      now += 2 * HOUR
    }
    outlet.close()
    const aside = filesOf('age.jsonl.')
    expect(aside.map((name) => readFileSync(join(root, name), 'utf8'))).toEqual(['c\n', 'd\n'])
    expect(readFileSync(file, 'utf8')).toBe('e\n')
  })

  it('begins a line of its own behind one that a kill has torn', async () => {
    const file = join(root, 'torn.jsonl')
    writeFileSync(file, 'whole\nha')
    const outlet = openFile({ file, rotate: undefined }, () => NOW)
    await outlet.send(lines('next'), '1')
    outlet.close()
    expect(readFileSync(file, 'utf8')).toBe('whole\nha\nnext\n')
  })

  it('that cannot be opened is said with its name', () => {
    appendFileSync(join(root, 'plain'), '')
    expect(() => openFile({ file: join(root, 'plain', 'x.jsonl'), rotate: undefined }, () => NOW)).toThrow(
      `${join(root, 'plain', 'x.jsonl')} cannot be opened`
    )
  })
})

interface Seen {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function collector(answers: readonly { status: number; body?: string }[]) {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    seen.push({ headers: request.headers, body })
    const { status, body: said = '' } = answers[Math.min(seen.length, answers.length) - 1] as { status: number; body?: string }
    if (status !== 0) response.writeHead(status).end(said)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { seen, url, close }
}

const optionsOf = (url: string, form: 'ndjson' | 'otlp', more = {}) => ({
  url,
  form,
  authorizationFile: undefined,
  caFile: undefined,
  client: undefined,
  serverId: undefined,
  timeoutMs: 5_000,
  ...more
})

describe('a collector', () => {
  it('gets lines as they are, the name of the batch, and the authorization that the file has now', async () => {
    const authorizationFile = join(root, 'authorization')
    writeFileSync(authorizationFile, 'Bearer one\n')
    const { seen, url, close } = await collector([{ status: 202 }])
    const outlet = openHttp(optionsOf(url, 'ndjson', { authorizationFile }), () => undefined)
    await outlet.send(Buffer.from('{"a":1}\n{"b":2}\n'), 'run-1')
    writeFileSync(authorizationFile, 'Bearer two\n')
    await outlet.send(Buffer.from('{"c":3}\n'), 'run-2')
    outlet.close()
    close()
    expect(seen.map(({ body, headers }) => [body, headers['x-vecauthz-batch'], headers.authorization, headers['content-type']])).toEqual([
      ['{"a":1}\n{"b":2}\n', 'run-1', 'Bearer one', 'application/x-ndjson'],
      ['{"c":3}\n', 'run-2', 'Bearer two', 'application/x-ndjson']
    ])
  })

  it.each([
    { name: 'an error', status: 500, says: 'answered 500' },
    { name: 'a redirect, which is not followed', status: 302, says: 'answered 302' },
    { name: 'no answer', status: 0, says: 'no answer within 200 ms' }
  ])('that gives $name has not taken the batch', async ({ status, says }) => {
    const { url, close } = await collector([{ status }])
    const outlet = openHttp(optionsOf(url, 'ndjson', { timeoutMs: 200 }), () => undefined)
    await expect(outlet.send(Buffer.from('{}\n'), '1')).rejects.toThrow(says)
    outlet.close()
    close()
  })

  it.each([
    { name: 'drop by drop', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n', drop: 'x', says: 'no answer within 300 ms' },
    { name: 'that it goes on, for ever', answer: '', drop: 'HTTP/1.1 100 Continue\r\n\r\n', says: 'no answer within 300 ms' },
    {
      name: 'that it speaks something else from now on',
      answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
      drop: '',
      says: 'no answer'
    },
    { name: 'half of an answer', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal', drop: undefined, says: 'no answer to its end' }
  ])('that answers $name has not taken the batch, and is not waited for', async ({ answer, drop, says }) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(answer)
        if (drop === undefined) return void socket.end()
        const dropping = setInterval(() => socket.write(drop), 20)
        socket.once('close', () => clearInterval(dropping))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`
    const outlet = openHttp(optionsOf(url, 'ndjson', { timeoutMs: 300 }), () => undefined)
    await expect(outlet.send(Buffer.from('{}\n'), '1')).rejects.toThrow(says)
    outlet.close()
    server.close()
  })

  it('that is not there has not taken it either, and no secret is in what is said', async () => {
    const outlet = openHttp(optionsOf('http://127.0.0.1:1/in?token=secret', 'ndjson'), () => undefined)
    await expect(outlet.send(Buffer.from('{}\n'), '1')).rejects.toThrow(/^http:\/\/127\.0\.0\.1:1: /)
    outlet.close()
  })
})

describe('OpenTelemetry', () => {
  const record = {
    ts: '2026-11-21T10:00:00.123Z',
    decision_id: 'd-1',
    verdict: 'deny',
    reason: 'tenant-not-allowed',
    tenant: 'acme',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    note: 'naïve'
  }

  it('gets each record as a log, whole in its body', async () => {
    const { seen, url, close } = await collector([{ status: 200, body: '{}' }])
    const outlet = openHttp(optionsOf(url, 'otlp'), () => undefined)
    const second = { ts: '2026-11-21T10:00:01.000Z', kind: 'operator_act', act_id: 'a-1' }
    await outlet.send(Buffer.from(`${JSON.stringify(record)}\n${JSON.stringify(second)}\n`), 'run-1')
    outlet.close()
    close()
    const { resourceLogs } = JSON.parse(seen[0]?.body ?? '')
    const [first, other] = resourceLogs[0].scopeLogs[0].logRecords
    expect(first).toMatchObject({
      timeUnixNano: '1795255200123000000',
      severityNumber: 13,
      eventName: 'vecauthz.decision',
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      flags: 1
    })
    expect(first.attributes).toContainEqual({ key: 'vecauthz.decision_id', value: { stringValue: 'd-1' } })
    expect(JSON.parse(first.body.stringValue)).toEqual(record)
    expect(other).toMatchObject({ severityNumber: 9, eventName: 'vecauthz.operator_act' })
    expect(other.traceId).toBeUndefined()
    expect(seen[0]?.headers['content-type']).toBe('application/json')
  })

  it('says how many it did not keep, and those are not sent again', async () => {
    const said: string[] = []
    const { url, close } = await collector([{ status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"2"}}' }])
    const outlet = openHttp(optionsOf(url, 'otlp'), (says) => said.push(says))
    await outlet.send(Buffer.from(`${JSON.stringify(record)}\n`), '1')
    outlet.close()
    close()
    expect(said).toEqual([expect.stringContaining('did not keep 2 of the records')])
  })
})
