/** Elements of the page. Whatever comes from the server becomes text, never markup: there is no way here to make markup of it. */

const SVG = 'http://www.w3.org/2000/svg'

/** @param props `on…` listens, `class` and the rest are attributes; undefined and false are left out */
export function h(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children)
}

export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children)
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  for (const child of children.flat(Number.POSITIVE_INFINITY)) {
    if (child === undefined || child === null || child === false) continue
    element.append(child instanceof Node ? child : document.createTextNode(String(child)))
  }
  return element
}

export function table(heads, rows, empty) {
  if (rows.length === 0) return h('p', { class: 'empty' }, empty)
  const head = h('thead', {}, h('tr', {}, ...heads.map((one) => h('th', { scope: 'col' }, one))))
  return h('div', { class: 'scroll' }, h('table', {}, head, h('tbody', {}, rows)))
}

export function chip(text, kind = text) {
  return h('span', { class: `chip ${/^[a-z-]+$/.test(String(kind)) ? kind : ''}` }, text)
}

export function time(text) {
  if (text === undefined) return ''
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) return text
  const isToday = date.toDateString() === new Date().toDateString()
  return h('time', { datetime: text, title: text }, isToday ? date.toLocaleTimeString() : date.toLocaleString())
}

/** A link to a page of the console. */
export function link(page, text, ...parts) {
  return h('a', { href: `#${[page, ...parts.map(encodeURIComponent)].join('/')}` }, text)
}

/** A number as people read it. */
export function number(value) {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== '')
  return h('dl', {}, ...shown.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))
}

/** Asks for a reason before anything is done. @param act gets the reason; what it throws is shown */
export function ask({ title, says, verb, extra, example = '' }, act) {
  const dialog = document.getElementById('ask')
  const reason = h('input', { id: 'reason', name: 'reason', required: true, maxlength: 500, autocomplete: 'off', placeholder: example })
  const fault = h('p', { class: 'fault', role: 'alert' })
  const form = h(
    'form',
    {
      method: 'dialog',
      onsubmit: async (event) => {
        event.preventDefault()
        try {
          await act(reason.value.trim())
          dialog.close()
        } catch (cause) {
          fault.textContent = cause.message
        }
      }
    },
    h('h2', { id: 'asktitle' }, title),
    h('p', {}, says),
    extra,
    h('label', { for: 'reason' }, 'Why (it goes on record)'),
    reason,
    fault,
    h(
      'div',
      { class: 'buttons' },
      h('button', { type: 'submit', class: 'strong', id: 'confirm' }, verb),
      h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')
    )
  )
  dialog.setAttribute('aria-labelledby', 'asktitle')
  dialog.replaceChildren(form)
  dialog.showModal()
  reason.focus()
}

/** Scores over time, with the steps of the ladder. */
export function chart(points) {
  const [width, height, foot] = [640, 120, 16]
  const first = Date.parse(points[0].at)
  const span = Math.max(1, Date.parse(points.at(-1).at) - first)
  const x = (at) => 4 + ((Date.parse(at) - first) / span) * (width - 8)
  const y = (score) => height - foot - Math.min(1, score) * (height - foot - 8)
  const steps = [
    [0.25, 'slowed'],
    [0.5, 'step-up'],
    [1, 'quarantine']
  ]
  const lines = steps.flatMap(([score, name]) => [
    svg('line', { x1: 0, x2: width, y1: y(score), y2: y(score), class: `step ${name}` }),
    svg('text', { x: 2, y: y(score) - 2, class: 'steplabel' }, name)
  ])
  const path = points.map(({ at, score }, index) => `${index === 0 ? 'M' : 'L'}${x(at).toFixed(1)} ${y(score).toFixed(1)}`).join('')
  const dots = points.map(({ at, score, standing, causes }) =>
    svg(
      'circle',
      { cx: x(at), cy: y(score), r: causes.length > 0 ? 4 : 2, class: standing },
      svg('title', {}, `${at} ${score}\n${causes.join('\n')}`)
    )
  )
  const label = `Score from ${points[0].at} to ${points.at(-1).at}, last ${points.at(-1).score}`
  return svg(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, class: 'chart', role: 'img', 'aria-label': label },
    lines,
    svg('path', { d: path, class: 'line' }),
    dots
  )
}
