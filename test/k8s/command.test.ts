import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { lastingCommand } from '../../src/commands.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { namespaceOf, namespaceReview, type Part } from './reviews.ts'

/** `vecauthz k8s` with the settings and policy that are shipped for a cluster. */

const ROOT = join(import.meta.dirname, '../..')
const SHIPPED = parse(readFileSync(join(ROOT, 'spire/kubernetes/config.yaml'), 'utf8')).data as Record<string, string>
const TEMPLATE = 'spiffe://example.org/ns/{namespace}/tenant/{tenant}/sa/{service_account}'

let folder: string
let out: string
let complained: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'k8s-'))
  const authority = await makeAuthority({ trustDomain: 't.test' })
  const own = await issueSvid(authority, { id: 'spiffe://t.test/webhook' })
  writeFileSync(join(folder, 'tls.crt'), own.pem)
  writeFileSync(join(folder, 'tls.key'), own.keyPem)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  ;[out, complained] = ['', '']
  for (const [name, text] of Object.entries(SHIPPED)) writeFileSync(join(folder, name), text)
})

const CONFIG = () => ['--config', join(folder, 'vecauthz.yaml')]
const TLS = () => ['--tls-cert', join(folder, 'tls.crt'), '--tls-key', join(folder, 'tls.key')]

function run(args: readonly string[], stopped: Promise<unknown> = Promise.resolve()): Promise<number> {
  const print = (text: string) => {
    out += text
  }
  const complain = (text: string) => {
    complained += text
  }
  return lastingCommand('k8s', { print, complain }, () => stopped)?.(args) ?? Promise.resolve(-1)
}

describe('vecauthz k8s', () => {
  it('is the one of these commands', () =>
    expect(lastingCommand('k9s', { print: () => undefined, complain: () => undefined }, async () => undefined)).toBeUndefined())

  it('says how it is used, and the page has every option of the webhook', async () => {
    expect(await run(['--help'])).toBe(0)
    const page = readFileSync(join(ROOT, 'docs/kubernetes.md'), 'utf8') + readFileSync(join(ROOT, 'spire/kubernetes/webhook.yaml'), 'utf8')
    const [webhook = ''] = /--listen[\s\S]*--deadline-ms/.exec(out) ?? []
    const options = webhook.match(/--[a-z][a-z-]+/g) ?? []
    expect(options.length).toBeGreaterThan(6)
    expect(options.filter((one) => !page.includes(one))).toEqual([])
  })

  it.each([
    { args: [], says: 'Say webhook, namespaces or network-policies' },
    { args: ['toString'], says: 'Say webhook, namespaces or network-policies' },
    { args: ['namespaces', 'more'], says: 'Say webhook' },
    { args: ['namespaces', '--config', '/none.yaml'], says: 'There is no settings file "/none.yaml"' },
    { args: ['webhook', '--tls-cert', 'a'], says: '--tls-key is needed' },
    {
      args: ['webhook', '--tls-cert', 'a', '--tls-key', 'a', '--spiffe-id', 'x', '--listen', 'host:1'],
      says: '--listen host:1: this is no ADDRESS:PORT'
    },
    { args: ['webhook', '--tls-cert', 'a', '--tls-key', 'a', '--deadline-ms', '0'], says: '--deadline-ms is a number from 1 to 30000' }
  ])('$args: 2, and $says', async ({ args, says }) => {
    expect(await run(args)).toBe(2)
    expect([out, complained]).toEqual(['', expect.stringContaining(says)])
  })

  it.each([
    { template: 'spiffe://example.org/tenant/{tenant}/sa/{service_account}', says: '--spiffe-id has no {namespace}' },
    { template: 'spiffe://example.org/ns/{namespace}', says: '--spiffe-id has no {service_account}' }
  ])('an identity for several is refused: $template', async ({ template, says }) => {
    expect(await run(['webhook', ...CONFIG(), ...TLS(), '--spiffe-id', template])).toBe(2)
    expect(complained).toContain(says)
  })

  it('prints namespaces and NetworkPolicies as documents of YAML', async () => {
    expect(await run(['namespaces', ...CONFIG()])).toBe(0)
    expect(parseAllDocuments(out).map((one) => one.toJSON().metadata.name)).toEqual(['rag-acme', 'rag-globex'])
    out = ''
    expect(await run(['network-policies', ...CONFIG(), '--database', 'docs=data/app=qdrant:6333,6334'])).toBe(0)
    expect(parseAllDocuments(out).map((one) => one.toJSON().kind)).toEqual(Array(5).fill('NetworkPolicy'))
    expect(await run(['network-policies', ...CONFIG()])).toBe(2)
    expect(complained).toContain('database docs: say where its pods are')
  })
})

describe('vecauthz k8s webhook', () => {
  async function allowed(port: number, review: Part): Promise<boolean> {
    const headers = { 'content-type': 'application/json' }
    const sent = request({ host: '127.0.0.1', port, path: '/validate', method: 'POST', headers, rejectUnauthorized: false, agent: false })
    sent.end(JSON.stringify(review))
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString()).response.allowed
  }

  it('decides by the policy in force, takes a new one, keeps it when the next has a fault, and ends when told', async () => {
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
    const running = run(['webhook', ...CONFIG(), ...TLS(), '--listen', '127.0.0.1:0', '--spiffe-id', TEMPLATE], stopped)
    const port = await vi.waitFor(() => {
      expect(complained).toContain('"port":')
      return Number(/"port":(\d+)/.exec(complained)?.[1])
    }, 10_000)
    const globex = namespaceReview(namespaceOf('rag-globex', { 'vecauthz.dev/tenant': 'globex' }))
    const moved = namespaceReview(namespaceOf('rag-globex-2', { 'vecauthz.dev/tenant': 'globex' }))
    expect([await allowed(port, globex), await allowed(port, moved)]).toEqual([true, false])

    const policy = SHIPPED['policy.yaml'] ?? ''
    const next = policy.replace('namespaces: [rag-globex]', 'namespaces: [rag-globex-2]').replace('/ns/rag-globex/', '/ns/rag-globex-2/')
    writeFileSync(join(folder, 'policy.yaml'), next)
    await vi.waitFor(async () => expect([await allowed(port, globex), await allowed(port, moved)]).toEqual([false, true]), 20_000)

    writeFileSync(join(folder, 'policy.yaml'), policy.replace('version: 1', 'version: 9'))
    await vi.waitFor(async () => {
      await allowed(port, moved)
      expect(complained).toContain('the new file is not used')
    }, 20_000)
    expect([await allowed(port, globex), await allowed(port, moved)]).toEqual([false, true])
    stop()
    expect(await running).toBe(0)
    expect(complained).toContain('"msg":"denied","what":"CREATE namespaces/rag-globex')
  }, 60_000)
})
