/** The server through the night: rotation, reload, drain, death. What must not change is that nothing undecided reaches Chroma. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, keptOpen } from '../../demo/client.ts'
import { GATEWAY_ENVOY, GATEWAY_SERVER, SUPPORT, TRUST_DOMAIN } from '../../demo/identities.ts'
import { type Stack, startServerProcess, startStack } from '../../demo/stack.ts'
import { namedPath, question, type Scene, sceneOf, supportSearch } from '../../demo/step.ts'

let stack: Stack
let scene: Scene

beforeAll(async () => {
  const policy = (document: { budget: object }) => {
    document.budget = { per_second: 1000, burst: 10_000 }
  }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-life'), say: () => undefined, policy })
  scene = sceneOf(stack)
})

afterAll(() => stack?.stop())

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(what: string, test: () => Promise<boolean>, msMax = 10_000): Promise<void> {
  const end = performance.now() + msMax
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${msMax} ms`)
    await sleep(50)
  }
}

/** Serial of the certificate that the ext_authz port shows to the gateway's Envoy. */
function serialShown(): Promise<string> {
  const { cert, key } = stack.credentials(GATEWAY_ENVOY)
  const options = { host: '127.0.0.1', port: stack.server.port, ca: stack.issuer.bundlePem(TRUST_DOMAIN), cert, key, ALPNProtocols: ['h2'] }
  return new Promise((resolve, reject) => {
    const socket = connect({ ...options, checkServerIdentity: () => undefined }, () => {
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      resolve(serialNumber)
    })
    socket.on('error', reject)
  })
}

const statusOf = async (port: number, path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status

describe('records', () => {
  it('one line for each decision, with the fields of the reference and nothing of the body', async () => {
    const answer = await supportSearch(scene, {
      headers: { 'x-request-id': 'a-request', authorization: 'Bearer very-secret', 'x-chroma-token': 'very-secret' }
    })
    expect(answer.status).toBe(200)
    await sleep(250)
    const text = readFileSync(stack.auditFile, 'utf8')
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const record = lines.filter((line) => line.decision_id === answer.decisionId)
    expect(record).toHaveLength(1)
    expect(record[0]).toMatchObject({
      verdict: 'allow',
      role: 'gateway',
      envoy: GATEWAY_ENVOY,
      tenant: 'acme',
      database: 'demo',
      operation: 'search',
      caller: { spiffe_id: SUPPORT, evidence: 'x509-svid' },
      dataset_scope: [{ kind: 'name', namespace: 'rag', name: 'handbook', id: stack.collections['acme'] }],
      shape: { queries: 1, top_k: 3, vectors_out: false, dimensions: 384 },
      client_credentials: ['x-chroma-token', 'authorization']
    })
    expect(record[0].rule).toMatch(/^policy\.yaml:\d+ collections\[0\]\.allow\[0\]$/)
    for (const secret of ['very-secret', 'query_embeddings', String(question('acme').vector[0])]) expect(text).not.toContain(secret)
  })

  it('a denial records its facts, which the caller does not get', async () => {
    const answer = await call(stack.door, scene.who.support, { target: namedPath('globex') })
    await sleep(250)
    const record =
      readFileSync(stack.auditFile, 'utf8')
        .split('\n')
        .find((line) => line.includes(answer.decisionId ?? 'none')) ?? '{}'
    expect(JSON.parse(record)).toMatchObject({
      verdict: 'deny',
      reason: 'tenant-not-allowed',
      atlas_mapping: [{ technique: 'AML.T0085.000' }, {}],
      owasp: ['LLM08', 'LLM02', 'ASI03']
    })
    expect(JSON.parse(record).because).toContain('globex')
    expect(answer.body).not.toContain('globex')
  })
})

describe('rotation', () => {
  it('of our own SVID and of the intermediate: the port shows the new one, no call is refused, no restart', async () => {
    const before = await serialShown()
    const { pid } = stack.server
    stack.issuer.rotate(GATEWAY_SERVER)
    await until('a new certificate', async () => (await serialShown()) !== before)
    expect((await supportSearch(scene)).status).toBe(200)
    const second = await serialShown()
    stack.issuer.rotateIntermediate(TRUST_DOMAIN)
    await until('a certificate of the new intermediate', async () => (await serialShown()) !== second)
    for (let at = 0; at < 10; at++) expect((await supportSearch(scene)).status).toBe(200)
    // The agent, too, has an SVID of the new intermediate now, and the Envoy between them.
    expect((await supportSearch(sceneOf(stack))).status).toBe(200)
    expect(stack.server.pid).toBe(pid)
  })
})

describe('policy', () => {
  it('a bad file changes nothing and is shown with file and line; a good one takes force; both without restart', async () => {
    const good = readFileSync(stack.policyFile, 'utf8')
    writeFileSync(stack.policyFile, good.replace('actions:', 'action:'))
    await until('the fault in the log', async () => readFileSync(stack.server.logFile, 'utf8').includes('the new file is not used'))
    expect(readFileSync(stack.server.logFile, 'utf8')).toMatch(/policy\.yaml:\d+:\d+: collections\.0\.allow\.0\.action: unknown key/)
    expect((await supportSearch(scene)).status).toBe(200)
    writeFileSync(
      stack.policyFile,
      good.replace('spiffe://demo.vecauthz.test/acme/agent/support', 'spiffe://demo.vecauthz.test/acme/agent/nobody')
    )
    await until('the refusal', async () => (await supportSearch(scene)).reason === 'caller-unknown')
    writeFileSync(stack.policyFile, good)
    await until('the allow', async () => (await supportSearch(scene)).status === 200)
  })
})

describe('revocation', () => {
  it('of an identity takes force when the policy is saved, on connections that stay open too', async () => {
    const good = readFileSync(stack.policyFile, 'utf8')
    const agent = keptOpen()
    try {
      expect((await supportSearch(scene, { agent })).status).toBe(200)
      writeFileSync(stack.policyFile, `${good}revoked: { spiffe_ids: [${SUPPORT}] }\n`)
      const saved = performance.now()
      await until('the refusal', async () => (await supportSearch(scene, { agent })).reason === 'identity-revoked')
      expect(performance.now() - saved).toBeLessThan(5_000)
      writeFileSync(stack.policyFile, good)
      await until('the allow', async () => (await supportSearch(scene, { agent })).status === 200)
    } finally {
      agent.destroy()
    }
  })
})

describe('the end', () => {
  it('ready while it serves; SIGTERM answers what is under way, exits with 0, and then nothing passes', async () => {
    expect(await statusOf(stack.server.healthPort, '/livez')).toBe(200)
    expect(await statusOf(stack.server.healthPort, '/readyz')).toBe(200)
    let running = true
    const answers: (number | string)[] = []
    const traffic = (async () => {
      while (running) answers.push((await supportSearch(scene)).status)
    })()
    await sleep(300)
    const exit = stack.server.stop()
    await sleep(300)
    expect(await statusOf(stack.server.healthPort, '/readyz')).toBe(503)
    expect(await exit).toBe(0)
    await sleep(300)
    running = false
    await traffic
    // Allowed while it served, 503 once it was gone: no third thing, and never a call that passed unasked.
    expect(new Set(answers)).toEqual(new Set([200, 503]))
    expect(answers.lastIndexOf(200)).toBeLessThan(answers.indexOf(503) + 3)
    stack.recorder.clear()
    expect((await supportSearch(scene)).status).toBe(503)
    expect(stack.recorder.seen()).toHaveLength(0)
  })

  it('settings that claim longer-lived SVIDs than there are stop the start with a sentence', async () => {
    const file = join(stack.folder, 'vecauthz.yaml')
    writeFileSync(
      join(stack.folder, 'too-long.yaml'),
      readFileSync(file, 'utf8').replace(/svid_ttl_seconds: \d+/, 'svid_ttl_seconds: 36000')
    )
    await expect(startServerProcess(stack.folder, join(stack.folder, 'too-long.yaml'))).rejects.toThrow(
      /svid_ttl_seconds is 36000, but our own SVID ends in \d+ s/
    )
  })

  it('a settings file that is not there is a sentence too', async () => {
    await expect(startServerProcess(stack.folder, join(stack.folder, 'nowhere.yaml'))).rejects.toThrow(/There is no settings file/)
  })
})
