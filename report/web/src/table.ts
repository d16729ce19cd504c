// The table of layers. Only the rows in sight exist, so that a thousand layers
// scroll as easily as ten.

import { colourClass, layerDatatype } from './datatypes'
import { h } from './dom'
import { cosine, decibel, share, sqnrHeight, whole } from './format'
import { stored, type Order, type State } from './state'
import { t, type Word } from './words'

const rowHeight = 46
const spare = 8 // rows beyond the edges

export interface Table {
  element: HTMLElement
  redraw(): void
  /** reveal scrolls to the selected layer. */
  reveal(): void
}

/** longName breaks a name so that its end, which tells layers apart, stays in sight. */
export function longName(name: string): HTMLElement {
  const cut = Math.max(0, name.length - 26)
  return h('span', { class: 'name', title: name }, h('span', { class: 'head' }, name.slice(0, cut)), h('span', { class: 'tail' }, name.slice(cut)))
}

export function table(state: State, choose: (layer: number) => void, sort: (order: Order) => void): Table {
  const { top } = state.highest()
  const rows = h('div', { class: 'rows', role: 'presentation' })
  const body = h('div', { class: 'scroll', role: 'presentation' }, rows)
  const head = h('div', { class: 'row heads', role: 'row' })
  const columns: [Word, Order, string][] = [
    ['colLayer', 'name', ''], ['sqnr', 'sqnr', 'number'], ['cosine', 'cosine', 'number wide'],
    ['colClipped', 'clipped', 'number wide'], ['colZeroed', 'zeroed', 'number wide'],
  ]
  const element = h('div', { class: 'layers', role: 'grid', tabindex: 0, 'aria-label': t('tableLabel', { n: whole(state.layers.length) }) }, head, body)

  let shown: number[] = []
  const warned = new Set((state.doc.findings ?? []).filter((f) => f.severity !== 'note').flatMap((f) => f.layers ?? []))
  const row = (at: number) => {
    const i = shown[at]!
    const l = state.layers[i]!
    const bar = h('span', { class: `bar ${colourClass(layerDatatype(l))}` })
    bar.style.width = `${l.error ? Math.max(0, Math.min(1, sqnrHeight(l.error, top) / top)) * 100 : 0}%`
    const cell = (kind: string, ...children: (Node | string)[]) => h('span', { class: `cell ${kind}`, role: 'gridcell' }, ...children)
    const most = (what: 'clipped' | 'zeroed') => { const v = state.most(i, what); return v < 0 ? t('notMeasured') : share(v) }
    const e = h('div', {
      class: 'row', role: 'row', id: `layer-${i}`, 'aria-selected': String(i === state.selected), 'aria-rowindex': at + 2,
      'data-layer': i, onclick: () => choose(i),
    },
      cell('', longName(l.name), h('small', { class: 'muted' }, h('span', { class: `dot ${colourClass(layerDatatype(l))}` }), `${stored(l)} · ${l.op}`, warned.has(i) ? h('b', { class: 'bad' }, ` · ${t('severity_warning')}`) : null)),
      cell('number', h('span', { class: 'track' }, bar), h('span', { class: 'figure' }, l.error ? decibel(l.error) : t('notMeasured'))),
      cell('number wide', l.error ? cosine(l.error) : t('notMeasured')),
      cell('number wide', most('clipped')),
      cell('number wide', most('zeroed')))
    e.style.top = `${at * rowHeight}px`
    return e
  }
  const draw = () => {
    const first = Math.max(0, Math.floor(body.scrollTop / rowHeight) - spare)
    const last = Math.min(shown.length, Math.ceil((body.scrollTop + (body.clientHeight || 480)) / rowHeight) + spare)
    rows.style.height = `${shown.length * rowHeight}px`
    rows.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, i) => row(first + i)))
    if (shown.length === 0) rows.replaceChildren(h('p', { class: 'muted empty' }, t('nothingFound')))
  }
  let waiting = false
  body.addEventListener('scroll', () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; draw() })
  })
  // Scrolling ends on whole rows: none is cut below the heads.
  body.addEventListener('scrollend', () => {
    const whole = Math.round(body.scrollTop / rowHeight) * rowHeight
    if (Math.abs(whole - body.scrollTop) > 0.5) body.scrollTop = whole
  })
  element.addEventListener('keydown', (e) => {
    const at = shown.indexOf(state.selected)
    const page = Math.max(1, Math.floor(body.clientHeight / rowHeight) - 1)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1 }[e.key]
    if (to === undefined || e.target !== element) return
    e.preventDefault()
    const i = shown[Math.max(0, Math.min(shown.length - 1, to))]
    if (i !== undefined) choose(i)
  })

  const heads = () => {
    head.replaceChildren(...columns.map(([word, order, kind]) => {
      const on = state.order === order
      return h('span', { class: `cell ${kind}`, role: 'columnheader', 'aria-sort': on ? (order === 'clipped' || order === 'zeroed' ? 'descending' : 'ascending') : 'none' },
        h('button', { class: 'plain', 'data-sort': order, onclick: () => sort(on ? 'network' : order) }, t(word), h('span', { class: 'arrow', 'aria-hidden': 'true' }, on ? '▾' : '')))
    }))
  }
  return {
    element,
    redraw() {
      shown = state.shown()
      element.setAttribute('aria-rowcount', String(shown.length + 1))
      element.setAttribute('aria-activedescendant', `layer-${state.selected}`)
      heads()
      draw()
    },
    reveal() {
      const at = shown.indexOf(state.selected)
      if (at < 0) return
      const y = at * rowHeight
      if (y < body.scrollTop) body.scrollTop = y
      else if (y + rowHeight > body.scrollTop + body.clientHeight) body.scrollTop = Math.ceil((y + rowHeight - body.clientHeight) / rowHeight) * rowHeight
      draw()
    },
  }
}
