/** The console: which page is shown, what the server is asked, and decisions as they come. */
import { h } from './elements.js'
import { decisionRow, inbox, live, matrix, onboard, passes, system, workload, workloads } from './views.js'

const PAGES = [
  ['live', 'Live'],
  ['workloads', 'Workloads'],
  ['inbox', 'Inbox'],
  ['matrix', 'Matrix'],
  ['onboard', 'Onboard'],
  ['system', 'System']
]
const SHOWN_MAX = 500
const LOOK_MS = 5_000

const main = document.getElementById('main')
const says = document.getElementById('says')
const state = { decisions: [], filter: '', paused: false, token: sessionStorage.getItem('token') ?? '' }

async function get(path) {
  return answered(await fetch(path, { headers: bearer() }))
}

async function post(path, body) {
  const headers = { ...bearer(), 'content-type': 'application/json' }
  const done = await answered(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }))
  await show()
  says.textContent = 'Done, and on record.'
  return done
}

function bearer() {
  return state.token === '' ? {} : { authorization: `Bearer ${state.token}` }
}

async function answered(response) {
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  if (response.status === 401) askToken()
  throw new Error(body.detail ?? `The server says ${response.status}.`)
}

/** On loopback: the token of the file. It stays in this tab. */
function askToken() {
  const input = h('input', { id: 'token', type: 'password', autocomplete: 'off', required: true })
  const use = (event) => {
    event.preventDefault()
    state.token = input.value.trim()
    sessionStorage.setItem('token', state.token)
    void begin()
  }
  main.replaceChildren(
    h('h1', {}, 'Who is there?'),
    h('p', {}, 'Paste the token of the token file (admin.local.token_file in the settings).'),
    h('form', { onsubmit: use }, h('label', { for: 'token' }, 'Token'), input, h('button', { type: 'submit', class: 'strong' }, 'Go on'))
  )
  input.focus()
}

function place() {
  const [page = '', ...parts] = location.hash.slice(1).split('/')
  return { page: page === '' || page === 'main' ? 'live' : page, parts: parts.map(decoded) }
}

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

async function pageOf({ page, parts }) {
  switch (page) {
    case 'live':
      return live({ ...state, onFilter: filtered, onPause: paused })
    case 'workloads':
      return workloads(await get('/v1/workloads'), (await get('/v1/standings')).standings)
    case 'workload':
      return workload(await get(`/v1/workloads/${encodeURIComponent(parts[0] ?? '')}`), post)
    case 'inbox':
      return inbox(await get('/v1/alerts'), await get('/v1/approvals'), await get('/v1/standings'), post)
    case 'matrix':
      return matrix(await get('/v1/matrix'))
    case 'onboard':
      return onboard(await get('/v1/state'))
    case 'system':
      return system(await get('/v1/state'), await get('/v1/revocations'), post)
    default:
      return [h('h1', {}, 'There is no such page')]
  }
}

let showing = 0
async function show() {
  const turn = ++showing
  const its = place()
  try {
    const elements = await pageOf(its)
    if (turn !== showing) return
    main.replaceChildren(...elements.flat(Number.POSITIVE_INFINITY).filter((one) => one !== undefined))
    main.dataset.page = its.page
    says.textContent = ''
  } catch (cause) {
    if (turn === showing) says.textContent = cause.message
  }
  for (const one of document.querySelectorAll('nav a')) {
    if (one.hash.slice(1) === its.page) one.setAttribute('aria-current', 'page')
    else one.removeAttribute('aria-current')
  }
}

function filtered(text) {
  state.filter = text
  rows()
}

function paused() {
  state.paused = !state.paused
  void show()
}

/** The table alone, so that whoever writes a filter is not thrown out of it. */
function rows() {
  const body = main.querySelector('tbody')
  if (place().page !== 'live') return
  if (body === null) return void show()
  body.replaceChildren(
    ...state.decisions
      .filter((one) => passes(one, state.filter))
      .slice(0, 200)
      .map(decisionRow)
  )
}

/** Server-sent events over fetch, which can carry the token. Comes again when the connection ends. */
async function follow() {
  for (;;) {
    try {
      const response = await fetch('/v1/tail', { headers: bearer() })
      if (!response.ok) throw new Error(`The server says ${response.status}.`)
      document.getElementById('standing').textContent = 'live'
      // What was decided while there was no connection.
      if (!state.paused) state.decisions = (await get('/v1/decisions')).decisions
      rows()
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      for (;;) {
        const { value, done } = await reader.read()
        if (done) break
        const events = (text + value).split('\n\n')
        text = events.pop() ?? ''
        take(events)
      }
    } catch {
      document.getElementById('standing').textContent = 'not connected'
    }
    await new Promise((resolve) => setTimeout(resolve, 2_000))
  }
}

function take(events) {
  const some = events
    .filter((one) => !one.startsWith('event:'))
    .flatMap((one) => one.split('\n').filter((line) => line.startsWith('data: ')))
    .map((line) => JSON.parse(line.slice(6)))
  if (some.length === 0 || state.paused) return
  // Not by their numbers: another process counts from one again.
  const known = new Set(state.decisions.map(({ id }) => id))
  state.decisions = [...some.filter(({ id }) => !known.has(id)).reverse(), ...state.decisions].slice(0, SHOWN_MAX)
  rows()
}

/** What is looked at again by itself; not while somebody writes or decides. */
async function look() {
  if (document.getElementById('ask').open) return
  const { page } = place()
  if (page === 'inbox' || page === 'workload' || page === 'workloads' || page === 'system') await show()
}

let following = false
async function begin() {
  try {
    const { role, spiffe_id: id } = await get('/v1/state')
    document.getElementById('who').textContent = `${role} ${id ?? ''}`
    state.decisions = (await get('/v1/decisions')).decisions
  } catch (cause) {
    says.textContent = cause.message
    return
  }
  await show()
  if (following) return
  following = true
  setInterval(() => void look(), LOOK_MS)
  void follow()
}

function themed(next) {
  if (next !== undefined) localStorage.setItem('theme', next)
  const theme = localStorage.getItem('theme')
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme
}

document.getElementById('theme').addEventListener('click', () => {
  const dark = document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')
  themed(dark === 'dark' ? 'light' : 'dark')
})
document.getElementById('nav').append(...PAGES.map(([page, name], at) => h('a', { href: `#${page}` }, name, h('kbd', {}, at + 1))))
addEventListener('hashchange', () => void show())
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return
  if (document.getElementById('ask').open) return
  const page = PAGES[Number(event.key) - 1]
  if (page !== undefined) location.hash = page[0]
  else if (event.key === '/') document.getElementById('filter')?.focus()
  else if (event.key === 'Enter' && event.target.tagName === 'TR') event.target.querySelector('a')?.click()
  else return
  event.preventDefault()
})
themed()
void begin()
