// The page: reads the document in it and shows it. A change of language draws
// everything anew; other changes touch what they are about.

import 'uplot/dist/uPlot.min.css'
import './style.css'
import { bars, metrics, type Bars } from './bars'
import { colourClass, layerDatatype } from './datatypes'
import { detail, type Detail } from './detail'
import { readDocument } from './document'
import { h } from './dom'
import { comparison } from './compare'
import { findings } from './findings'
import { reproduce, rewrites, summary, unquantized } from './sections'
import { orders, State, type Order } from './state'
import { strategy } from './strategy'
import { table, type Table } from './table'
import { whole } from './format'
import type { Chart } from './histogram'
import { search } from './search'
import { graph, type GraphView } from './graph'
import { isDark, onThemeChange, toggleTheme } from './theme'
import { currentLanguage, setLanguage, t, type Word } from './words'

const doc = readDocument()
const state = new State(doc)
const app = document.getElementById('app')!

let charts: Bars[] = []
let rows: Table | null = null
let shown: Detail | null = null
let walk: GraphView | null = null
/** others are the charts of a comparison or a search, which may replace them. */
let others: Chart[] = []
let orderBox: HTMLSelectElement | null = null

function render(): void {
  for (const c of charts) c.destroy()
  for (const c of [...(shown?.charts ?? []), ...others]) c.destroy()
  charts = []
  rows = shown = orderBox = walk = null
  document.documentElement.lang = currentLanguage() === 'zh' ? 'zh-CN' : 'en'
  document.title = `${doc.model.name} · ${title()}`
  const compared = search(doc) ?? comparison(doc)
  others = compared?.charts ?? []
  const sections = [
    doc.layers ? summary(state, (i) => choose(i, true)) : null,
    doc.layers ? layers() : null,
    compared?.element ?? null,
    strategy(doc, (i) => choose(i, true)),
    doc.layers || doc.findings?.length ? findings(doc, showLine, (i) => choose(i, true)) : null,
    rewrites(doc), unquantized(doc), reproduce(doc),
  ].filter((s) => s !== null)
  const nav = h('nav', { 'aria-label': t('contents') }, ...sections.map((s) => h('a', { href: `#${s.id}` }, t(s.id as Word))))
  app.replaceChildren(header(), nav, h('main', {}, ...sections))
  fit()
  showRows()
}

/** title is what the page is. */
function title(): string {
  return t(doc.search ? 'searchTitle' : doc.layers ? 'title' : 'compareTitle')
}

function showRows(): void {
  rows?.redraw()
  rows?.reveal()
  walk?.redraw()
  walk?.reveal()
}

function header(): HTMLElement {
  const theme = h('button', { id: 'theme', 'aria-label': t('themeLabel'), onclick: () => { toggleTheme(); theme.textContent = t(isDark() ? 'toLight' : 'toDark') } },
    t(isDark() ? 'toLight' : 'toDark'))
  const language = h('button', {
    id: 'language', 'aria-label': t('languageLabel'), onclick: () => {
      setLanguage(currentLanguage() === 'en' ? 'zh' : 'en')
      render()
      document.getElementById('language')!.focus()
    },
  }, t('otherLanguage'))
  return h('header', {}, h('div', {}, h('p', { class: 'muted' }, title()), h('h1', {}, doc.model.name)), h('div', { class: 'switches' }, language, theme))
}

function layers(): HTMLElement {
  orderBox = h('select', { id: 'order', onchange: () => sort(orderBox!.value as Order) },
    ...orders.map((o) => h('option', { value: o, selected: o === state.order }, t(`order${o[0]!.toUpperCase()}${o.slice(1)}` as Word))))
  const filter = h('input', { id: 'filter', type: 'search', placeholder: t('filterHint'), value: state.filter, oninput: () => { state.filter = filter.value; update() } })
  rows = table(state, (i) => choose(i, true), sort)
  shown = detail(state, actions)
  const e = h('section', { id: 'layers' }, h('h2', {}, t('layers')),
    h('p', { class: 'muted' }, doc.measured ? t('layersHelp', { n: whole(doc.measured.samples) }) : t('noErrors'),
      doc.measured?.reference === 'rewritten' ? ` ${t('referenceRewritten')}` : null),
    h('div', { class: 'tools' },
      h('label', {}, t('order'), orderBox),
      doc.measured ? h('button', { id: 'worst', onclick: () => sort('sqnr') }, t('worstFirst')) : null,
      h('label', {}, t('filter'), filter)))
  if (doc.measured) {
    charts = metrics(state).map((m) => bars(state, m, (i) => choose(i, false)))
    e.append(h('div', { class: 'card' }, legend(), ...charts.map((c) => c.element), h('p', { class: 'muted hint' }, t('zoomHint'))))
  }
  e.append(h('div', { class: 'halves' }, listed(rows), shown.element))
  return e
}

/** listed is the list of layers, as a table or as a graph. */
function listed(rows: Table): HTMLElement {
  const place = h('div', { role: 'tabpanel', id: 'listed' })
  const tab = (view: 'table' | 'graph', word: Word) => h('button', { role: 'tab', id: `view-${view}`, 'aria-controls': 'listed', onclick: () => show(view) }, t(word))
  const tabs = [tab('table', 'viewTable'), tab('graph', 'viewGraph')]
  const show = (view: 'table' | 'graph') => {
    state.view = view
    for (const b of tabs) b.setAttribute('aria-selected', String(b.id === `view-${view}`))
    place.setAttribute('aria-labelledby', `view-${view}`)
    if (view === 'table') {
      walk = null
      place.replaceChildren(rows.element)
      rows.redraw()
      rows.reveal()
    } else {
      walk = graph(state, (i) => choose(i, false))
      place.replaceChildren(walk.element)
      walk.redraw()
      walk.reveal()
    }
  }
  const e = h('div', { class: 'card' }, h('div', { class: 'tabs views', role: 'tablist', 'aria-label': t('layers') }, ...tabs), place)
  show(state.view)
  return e
}

/** legend tells which datatype has which colour. */
function legend(): HTMLElement {
  const types = [...new Set(state.layers.map(layerDatatype))].sort()
  return h('p', { class: 'legend' }, ...types.map((d) => h('span', {}, h('span', { class: `dot ${colourClass(d)}` }), d)))
}

const actions = {
  layer(i: number) { choose(i, true) },
  tensor(i: number) { state.tensor = i; showDetail() },
  line: showLine,
  logCounts(on: boolean) { state.logCounts = on; showDetail(); document.getElementById('log')?.focus() },
}

function choose(layer: number, reveal: boolean): void {
  state.select(layer)
  update()
  rows?.reveal()
  walk?.reveal()
  showDetail()
  // Where the detail stands below the list, bring it into sight.
  if (reveal && shown && matchMedia('(max-width: 60rem)').matches) shown.element.scrollIntoView({ block: 'start' })
  else if (reveal && shown && shown.element.getBoundingClientRect().bottom < 0) shown.element.scrollIntoView({ block: 'nearest' })
}

function showDetail(): void {
  if (!shown) return
  const next = detail(state, actions)
  for (const c of shown.charts) c.destroy()
  shown.element.replaceWith(next.element)
  shown = next
  for (const c of next.charts) c.resize()
}

function sort(order: Order): void {
  state.order = order
  if (orderBox) orderBox.value = order
  update()
  const first = state.shown()[0]
  if (order !== 'network' && first !== undefined) choose(first, false)
  else rows?.reveal()
}

function update(): void {
  for (const c of charts) c.redraw()
  rows?.redraw()
}

function showLine(n: number): void {
  document.querySelector('.line.chosen')?.classList.remove('chosen')
  const line = document.getElementById(`line-${n}`)
  if (!line) return
  line.classList.add('chosen')
  line.scrollIntoView({ block: 'center' })
  line.focus({ preventScroll: true })
}

function fit(): void {
  for (const c of [...charts, ...(shown?.charts ?? []), ...others]) c.resize()
}

let width = 0
new ResizeObserver(() => {
  if (app.clientWidth === width) return
  width = app.clientWidth
  fit()
  rows?.redraw()
  walk?.redraw()
}).observe(app)
onThemeChange(() => { for (const c of [...charts, ...(shown?.charts ?? []), ...others]) c.repaint() })
render()
