/** The console in a real browser, on the demo's stack: what it shows, and what a person does there reaches Envoy. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { call } from '../../demo/client.ts'
import { APPROVER, SUPPORT } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'
import { whyLeftOut } from '../../setup/components.ts'
import { type Chromium, startChromium } from './support/chromium.ts'

const FOLDER = join(import.meta.dirname, '../../.run/test-console')
const SHOTS = join(FOLDER, 'shots')
const WAIT = { timeout: 20_000, interval: 100 }
const leftOut = whyLeftOut('chromium')
if (leftOut !== undefined) console.info(`the console in a browser: skipped, ${leftOut}`)

/** What a caller could choose: each must be text on the page, and nothing else. */
const HOSTILE = '<img src=x onerror="document.title=\'owned\'">'

describe.skipIf(leftOut !== undefined)('the console, in a real browser', () => {
  let stack: Stack
  let scene: Scene
  let chromium: Chromium
  let page: Page
  let url: string
  const faults: string[] = []

  beforeAll(async () => {
    stack = await startStack({
      folder: FOLDER,
      say: () => undefined,
      // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
      policy: (document: any) => {
        document.risk = { denials: { slowed: 1, step_up: 9, quarantine: 9 } }
        for (const one of document.workloads)
          if (one.spiffe_id === SUPPORT) Object.assign(one, { agent_type: 'support', owner: 'search-team' })
      }
    })
    scene = sceneOf(stack)
    mkdirSync(SHOTS, { recursive: true })
    url = `http://127.0.0.1:${stack.server.localPort}`
    chromium = await startChromium()
    page = await chromium.browser.newPage()
    page.on('pageerror', (cause) => faults.push(String(cause)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('401')) faults.push(message.text())
    })
    await page.setViewport({ width: 1280, height: 800 })
  })
  afterAll(async () => {
    await chromium?.stop()
    await stack?.stop()
  })

  const ask = (target: string, body?: object) => call(stack.door, scene.who.support, { target, ...(body && { body }) })
  const search = () => ask(collectionPath('acme', stack.collections['acme'] ?? '', 'query'), searchBody('acme'))
  const text = () => page.evaluate('document.body.innerText') as Promise<string>
  const shows = (what: string | RegExp) => vi.waitFor(async () => expect(await text()).toMatch(what), WAIT)
  const go = async (hash: string) => {
    await page.evaluate((to) => {
      ;(globalThis as unknown as { location: { hash: string } }).location.hash = to
    }, hash)
    await page.waitForSelector(`main[data-page="${hash.split('/')[0]}"]`, { timeout: 20_000 })
  }
  const shot = (name: string) => page.screenshot({ path: join(SHOTS, `${name}.png`) as `${string}.png` })
  /** Both lanes write the file; the one of the page is asked with its own. */
  const confirm = async (reason: string) => {
    await page.waitForSelector('#ask[open] #reason', { timeout: 20_000 })
    await page.type('#reason', reason)
    await page.click('#confirm')
    await page.waitForFunction('!document.getElementById("ask").open', { timeout: 20_000 })
  }

  it('asks who is there, and shows nothing before it knows', async () => {
    await page.goto(url)
    await shows('Paste the token')
    expect(await text()).not.toContain('spiffe://')
    await page.type('#token', 'x'.repeat(43))
    await page.keyboard.press('Enter')
    await shows('Paste the token')
    await page.waitForSelector('#token')
    await page.$eval('#token', (input) => {
      ;(input as unknown as { value: string }).value = ''
    })
    await page.type('#token', readFileSync(join(FOLDER, 'console.token'), 'utf8').trim())
    await page.keyboard.press('Enter')
    await shows('Decisions, as they are made')
  })

  it('shows decisions as they are made, with the reason in prose, and filters them', async () => {
    expect((await search()).status).toBe(200)
    expect((await ask(namedPath('globex', 'one'))).status).toBe(403)
    await shows(/This workload may not act for the tenant it named\./)
    await shows('Allowed.')
    await page.type('#filter', 'verdict:deny')
    await vi.waitFor(async () => expect(await page.$$eval('tr.allow', (rows) => rows.length)).toBe(0), WAIT)
    expect(await page.$$eval('tr.deny', (rows) => rows.length)).toBeGreaterThan(0)
    await shot('live')
  })

  it('what a caller chose is text, in whatever field it comes', async () => {
    const target = `/api/v2/tenants/${encodeURIComponent(HOSTILE)}/databases/rag/collections/${encodeURIComponent(HOSTILE)}`
    await call(stack.door, scene.who.trials, { target, headers: { 'x-vecauthz-run': HOSTILE, 'user-agent': HOSTILE } })
    await page.$eval('#filter', (input) => {
      ;(input as unknown as { value: string }).value = ''
      input.dispatchEvent(new Event('input'))
    })
    await shows('globex/agent/trials')
    expect(await page.title()).toBe('vecauthz')
    expect(await page.$$eval('main img, main script, main iframe', (found) => found.length)).toBe(0)
  })

  it('a quarantine is in the inbox, and a release there lets the agent through', async () => {
    for (const name of ['two', 'three', 'four']) await ask(namedPath('globex', name))
    expect((await search()).reason).toBe('quarantined')
    await page.keyboard.press('Escape')
    await go('inbox')
    await shows(/quarantine/)
    await shot('inbox')
    await go(`workload/${encodeURIComponent(SUPPORT)}`)
    await shows('search-team')
    await shot('workload-quarantined')
    await page.click('#release')
    await shot('release')
    await confirm('a drill, in the browser')
    await shows('Nothing is held against it.')
    await vi.waitFor(async () => expect((await search()).status).toBe(200), WAIT)
    const acts = await vi.waitFor(() => {
      const lines = readFileSync(stack.auditFile, 'utf8').split('\n').slice(0, -1)
      const found = lines.filter((line) => line.includes('"standing.release"')).map((line) => JSON.parse(line))
      expect(found.map(({ stage }) => stage)).toEqual(['begun', 'done'])
      return found
    }, WAIT)
    expect(acts[1]).toMatchObject({ by: APPROVER, serial: 'token file', reason: 'a drill, in the browser' })
  })

  it('an identity that is revoked there is refused on its next call, and let in again when that is taken back', async () => {
    await page.click('#revoke')
    await confirm('stolen')
    expect((await search()).reason).toBe('identity-revoked')
    await go('system')
    await shows('stolen')
    await shot('system')
    const back = await page.waitForSelector('td.buttons button')
    await back?.click()
    await confirm('found again')
    await vi.waitFor(async () => expect((await search()).status).toBe(200), WAIT)
  })

  it('a false positive is released, and stands under what was done', async () => {
    for (const name of ['five', 'six', 'seven']) await ask(namedPath('globex', name))
    expect((await search()).reason).toBe('quarantined')
    await go('inbox')
    await page.waitForSelector('button.wrong')
    await page.click('button.wrong')
    await confirm('load test of ours')
    await shows('false-positive')
    await vi.waitFor(async () => expect((await search()).status).toBe(200), WAIT)
  })

  it('an approval that is given there lets the very call through, once', async () => {
    const made = { target: '/api/v2/tenants/acme/databases/rag/collections', body: { name: 'scratch-console' } }
    expect((await call(stack.door, scene.who.indexer, made)).status).toBe(200)
    const drop = () => call(stack.door, scene.who.indexer, { method: 'DELETE', target: namedPath('acme', 'scratch-console') })
    expect((await drop()).reason).toBe('approval-required')
    await go('inbox')
    await page.waitForSelector('button.approve', { timeout: 20_000 })
    await page.click('button.approve')
    await shot('approve')
    await confirm('ticket 4711')
    await vi.waitFor(async () => expect((await drop()).status).toBe(200), WAIT)
  })

  it('what is allowed and what was used stand side by side', async () => {
    await go('matrix')
    await shows(/used \d+/)
    await shot('matrix')
    await go('workloads')
    await shows('search-team')
    await shot('workloads')
  })

  it('makes an entry and a policy stub, and refuses what could leave its line', async () => {
    await go('onboard')
    for (const [id, value] of [
      ['path', '/acme/agent/new'],
      ['owner', 'team'],
      ['type', 'support'],
      ['collection', 'hand"book']
    ] as const)
      await page.type(`#${id}`, value)
    await page.keyboard.press('Enter')
    await shows('The collection is a name of')
    await page.$eval('#collection', (input) => {
      ;(input as unknown as { value: string }).value = ''
    })
    await page.type('#collection', 'handbook')
    await page.keyboard.press('Enter')
    await shows('spiffe_id: spiffe://demo.vecauthz.test/acme/agent/new')
    await shot('onboard')
  })

  it('is used by keyboard, in the dark too', async () => {
    await page.evaluate('document.activeElement.blur()')
    await page.keyboard.press('1')
    await page.waitForSelector('main[data-page="live"]', { timeout: 20_000 })
    await page.keyboard.press('/')
    expect(await page.evaluate('document.activeElement.id')).toBe('filter')
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }])
    const back = (await page.evaluate('getComputedStyle(document.body).backgroundColor')) as string
    expect(back).toBe('rgb(20, 23, 26)')
    await page.evaluate('document.activeElement.blur()')
    await page.keyboard.press('3')
    await page.waitForSelector('main[data-page="inbox"]', { timeout: 20_000 })
    await shot('inbox-dark')
    // Nothing is wider than a laptop.
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1280)
  })

  it('every text that the server says is text, on every page', async () => {
    const other = await chromium.browser.newPage()
    other.on('pageerror', (cause) => faults.push(String(cause)))
    const authorization = `Bearer ${readFileSync(join(FOLDER, 'console.token'), 'utf8').trim()}`
    const spoilt = new Set<string>()
    // All texts of all answers, but for those that the page compares.
    const spoil = (value: unknown, name = ''): unknown => {
      if (Array.isArray(value)) return value.length === 0 ? value : value.map((one) => spoil(one, name))
      if (typeof value === 'object' && value !== null)
        return Object.fromEntries(
          Object.entries(value).map(([key, one]) => [name === 'figures' || name === 'denied' ? `${HOSTILE}${key}` : key, spoil(one, key)])
        )
      if (typeof value !== 'string' || ['verdict', 'state', 'actions'].includes(name)) return value
      spoilt.add(name)
      return `${HOSTILE}${value}`
    }
    await other.setRequestInterception(true)
    other.on('request', async (request) => {
      const path = new URL(request.url()).pathname
      if (!path.startsWith('/v1/') || path === '/v1/tail' || path.includes('HOSTILE')) return void request.continue()
      const asked = path.replaceAll(encodeURIComponent(HOSTILE), '')
      const body = JSON.stringify(spoil(await (await fetch(`${url}${asked}`, { headers: { authorization } })).json()))
      await request.respond({ status: 200, contentType: 'application/json', body })
    })
    await other.evaluateOnNewDocument((token) => sessionStorage.setItem('token', token), authorization.slice('Bearer '.length))
    await other.goto(url)
    for (const hash of ['live', 'workloads', `workload/${encodeURIComponent(SUPPORT)}`, 'inbox', 'matrix', 'onboard', 'system']) {
      await other.evaluate(`location.hash = ${JSON.stringify(hash)}`)
      await other.waitForSelector(`main[data-page="${hash.split('/')[0]}"]`, { timeout: 20_000 })
      expect(await other.$$eval('main img, main script, main iframe, main [onerror]', (found) => found.length)).toBe(0)
      expect(await other.evaluate('document.body.innerText')).toContain('<img src=x')
      expect(await other.title()).toBe('vecauthz')
    }
    expect([...spoilt]).toEqual(
      expect.arrayContaining(['workload', 'because', 'tells', 'says', 'reason', 'tenant', 'collection', 'owner', 'id', 'by'])
    )
    await other.close()
  })

  it('broke no rule of its own content policy, and threw nothing', () => {
    expect(faults).toEqual([])
  })
})
