// The comparison of several strategies: a chart, the chosen strategy, a table.

import { copyButton } from './copy'
import type { Compare, CompareRow, Doc, Unit } from './document'
import { h } from './dom'
import { big, bytes, decibel, grouped, percent, whole } from './format'
import type { Chart } from './histogram'
import { figure, tick } from './objective'
import { cells } from './sections'
import { tradeoff, type Mark, type Tradeoff } from './tradeoff'
import { say, t } from './words'

export interface Section { element: HTMLElement; charts: Chart[] }

/** Measure is what strategies may be compared by. */
interface Measure { name: string; unit: Unit; lower: boolean; value(r: CompareRow): number | null; float: number | null }

function measures(c: Compare): Measure[] {
  const rows = c.rows ?? []
  const out: Measure[] = []
  const m = rows.find((r) => r.metric)?.metric
  if (m) out.push({ name: m.name, unit: m.unit, lower: m.lower_is_better ?? false, value: (r) => r.metric?.quantized ?? null, float: m.float ?? null })
  if (rows.some((r) => r.quantized)) out.push({ name: t('top1'), unit: '%', lower: false, value: (r) => r.quantized?.top1 ?? null, float: c.float?.top1 ?? null })
  if (rows.some((r) => r.agreement != null)) out.push({ name: t('agreement'), unit: '%', lower: false, value: (r) => r.agreement, float: null })
  if (rows.some((r) => r.sqnr_db != null)) out.push({ name: t('sqnr'), unit: 'dB', lower: false, value: (r) => r.sqnr_db, float: null })
  return out
}

export function comparison(doc: Doc): Section | null {
  const c = doc.compare
  if (!c) return null
  const rows = c.rows ?? []
  const all = measures(c)
  const charts: Chart[] = []
  const sizes = rows.some((r) => r.bytes)
  let chosen = Math.max(0, rows.findIndex((r) => !r.error))
  let chart: Tradeoff | null = null

  const place = h('div')
  const strategy = h('div', { class: 'card', id: 'chosen-strategy' })
  const what = h('select', { id: 'measure', onchange: () => draw() }, ...all.map((m, i) => h('option', { value: i }, m.name)))
  const against = h('select', { id: 'against', onchange: () => draw() }, h('option', { value: 'cost' }, t('colCost')), sizes ? h('option', { value: 'bytes' }, t('colSize')) : null)

  const choose = (i: number) => {
    chosen = i
    chart?.mark(i)
    strategy.replaceChildren(...chosenStrategy(rows[i]!, c).filter((e) => e !== null))
    for (const e of table.querySelectorAll('tr[data-row]')) e.setAttribute('aria-selected', String(Number((e as HTMLElement).dataset.row) === i))
  }
  const draw = () => {
    const m = all[Number(what.value)]!
    const size = against.value === 'bytes'
    const marks: Mark[] = rows.flatMap((r, i) => {
      const x = size ? r.bytes : r.cost, y = m.value(r)
      return x && y !== null ? [{
        key: i, x: size ? x / 1e6 : x, y, kind: 'whole', whole: true, title: r.name, name: r.name,
        lines: [`${m.name} ${figure(y, m.unit)}`, size ? `${t('colSize')} ${bytes(x)}` : `${t('colCost')} ${percent(x, 1)}`],
      }] : []
    })
    if (chart) { charts.splice(charts.indexOf(chart), 1); chart.destroy() }
    chart = tradeoff({
      marks, lowerIsBetter: m.lower, chosen, choose,
      x: size ? { label: t('sizeAxis'), text: (v) => String(Number(v.toPrecision(4))) } : { label: t('costAxis'), text: (v) => `${Number((100 * v).toPrecision(3))} %`, doubling: true },
      y: { label: m.unit === 'dB' ? t('withUnit', { name: m.name, unit: 'dB' }) : m.name, text: (v) => tick(v, m.unit) },
      lines: m.float !== null ? [{ at: m.float, name: `${t('float')} ${figure(m.float, m.unit)}`, kind: 'float' }] : [],
    })
    charts.push(chart)
    place.replaceChildren(chart.element)
    chart.resize()
  }
  const table = tableOf(c, (i) => choose(i))
  const element = h('section', { id: 'compare' }, h('h2', {}, t('compare')),
    h('p', { class: 'muted' }, t('compareHelp', { n: whole(c.samples) })))
  if (rows.length > 0 && all.length > 0) {
    element.append(h('div', { class: 'halves even' },
      h('div', { class: 'card' }, h('div', { class: 'tools' }, h('label', {}, t('showing'), what), h('label', {}, t('against'), against)), place, h('p', { class: 'muted hint' }, t('tradeoffHelp'))),
      strategy))
    draw()
  }
  element.append(table, ...(c.notes ?? []).map((n) => h('p', { class: 'muted' }, grouped(say(n)))))
  if (rows.length > 0) choose(chosen)
  return { element, charts }
}

/** chosenStrategy tells of one strategy, with its file. */
function chosenStrategy(r: CompareRow, c: Compare): (HTMLElement | null)[] {
  return [
    h('h3', {}, r.name),
    r.error ? h('p', { class: 'bad' }, say(r.error)) : null,
    ...(r.words ?? []).map((w) => h('p', { class: 'words' }, say(w))),
    !r.words?.length && c.rows?.[0] === r ? h('p', { class: 'muted' }, t('firstStrategy')) : null,
    r.source ? sourceBox(r.source) : null,
  ]
}

/** sourceBox shows a strategy file. */
export function sourceBox(source: string): HTMLElement {
  return h('div', { class: 'source' }, h('div', { class: 'tools' }, copyButton(() => source, t('copyStrategy'))), h('pre', { tabindex: 0 }, source))
}

/** tableOf is the table of strategies. */
function tableOf(c: Compare, choose: (i: number) => void): HTMLElement {
  const rows = c.rows ?? []
  const has = (f: (r: CompareRow) => unknown) => rows.some((r) => f(r) != null && f(r) !== 0)
  const best = (f: (r: CompareRow) => number | null | undefined, high = true) => {
    const v = rows.map(f).filter((x): x is number => x != null && x !== 0)
    return v.length < 2 ? NaN : high ? Math.max(...v) : Math.min(...v)
  }
  type Line = { row: CompareRow | null }
  type Column = [string, (r: Line) => string, ((r: Line) => boolean)?, string?]
  const columns: Column[] = []
  const column = (name: string, float: string, text: (r: CompareRow) => string, is?: (r: CompareRow) => boolean, help?: string) => {
    columns.push([name, ({ row }) => (row ? text(row) : float), ({ row }) => row !== null && (is?.(row) ?? false), help])
  }
  const metric = measures(c).find((m) => rows.some((r) => r.metric) && m.name === rows.find((r) => r.metric)!.metric!.name)
  if (metric) {
    const top = best(metric.value, !metric.lower)
    column(metric.name, figure(metric.float, metric.unit), (r) => figure(metric.value(r), metric.unit), (r) => metric.value(r) === top)
  }
  if (has((r) => r.quantized)) {
    const top = best((r) => r.quantized?.top1)
    column(t('top1'), c.float ? percent(c.float.top1) : '–', (r) => (r.quantized ? percent(r.quantized.top1) : '–'), (r) => r.quantized?.top1 === top)
    column(t('top5'), c.float ? percent(c.float.top5) : '–', (r) => (r.quantized ? percent(r.quantized.top5) : '–'))
  }
  const least = best((r) => r.bytes, false), cheap = best((r) => r.cost, false)
  if (has((r) => r.agreement)) column(t('agreement'), '–', (r) => (r.agreement != null ? percent(r.agreement) : '–'))
  column(t('sqnr'), '–', (r) => (r.sqnr_db != null || r.exact ? decibel(r) : '–'))
  if (has((r) => r.bytes)) column(t('colSize'), c.float_bytes ? bytes(c.float_bytes) : '–', (r) => (r.bytes ? bytes(r.bytes) : '–'), (r) => r.bytes === least)
  if (has((r) => r.macs?.length)) column(t('colMacs'), '–', (r) => (r.macs ?? []).map((m) => `${m.bits}${t('colon')}${big(m.count)}`).join('\n') || '–')
  if (has((r) => r.cost)) column(t('colCost'), '100 %', (r) => (r.cost != null ? percent(r.cost, 1) : '–'), (r) => r.cost === cheap, t('costHelp'))
  if (has((r) => r.seconds)) column(t('colSeconds'), '–', (r) => (r.seconds != null ? t('seconds', { n: r.seconds.toFixed(1) }) : '–'))
  return h('div', { class: 'card' }, cells<Line>(t('colStrategy'), columns, [
    { row: { row: null }, head: [t('float')], attributes: { class: 'muted' } },
    ...rows.map((r, i) => ({
      row: { row: r }, attributes: { 'data-row': String(i) },
      head: [h('button', { class: 'link', onclick: () => choose(i) }, r.name), ...(r.words ?? []).map((w) => h('div', { class: 'words' }, say(w))), ...(r.error ? [h('div', { class: 'bad' }, say(r.error))] : [])],
    })),
  ]))
}
