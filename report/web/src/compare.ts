// The comparison of several strategies.

import type { CompareRow, Doc } from './document'
import { h } from './dom'
import { big, bytes, decibel, percent, whole } from './format'
import { say, t } from './words'

/** comparison is the table of strategies. */
export function comparison(doc: Doc): HTMLElement | null {
  const c = doc.compare
  if (!c) return null
  const rows = c.rows ?? []
  const has = (f: (r: CompareRow) => unknown) => rows.some((r) => f(r) != null && f(r) !== 0)
  const best = (f: (r: CompareRow) => number | null | undefined, high = true) => {
    const v = rows.map(f).filter((x): x is number => x != null && x !== 0)
    return v.length < 2 ? NaN : high ? Math.max(...v) : Math.min(...v)
  }
  type Column = [string, (r: CompareRow) => string, ((r: CompareRow) => boolean)?, string?]
  const columns: Column[] = []
  if (has((r) => r.quantized)) {
    const top = best((r) => r.quantized?.top1)
    columns.push([t('top1'), (r) => (r.quantized ? percent(r.quantized.top1) : '–'), (r) => r.quantized?.top1 === top])
    columns.push([t('top5'), (r) => (r.quantized ? percent(r.quantized.top5) : '–')])
  }
  const least = best((r) => r.bytes, false), cheap = best((r) => r.cost, false)
  columns.push([t('agreement'), (r) => (r.agreement != null ? percent(r.agreement) : '–')])
  columns.push([t('sqnr'), (r) => (r.sqnr_db != null || r.exact ? decibel(r) : '–')])
  if (has((r) => r.bytes)) columns.push([t('colSize'), (r) => (r.bytes ? bytes(r.bytes) : '–'), (r) => r.bytes === least])
  if (has((r) => r.macs?.length)) columns.push([t('colMacs'), (r) => (r.macs ?? []).map((m) => `${m.bits}: ${big(m.count)}`).join('\n')])
  if (has((r) => r.cost)) columns.push([t('colCost'), (r) => (r.cost != null ? percent(r.cost, 1) : '–'), (r) => r.cost === cheap, t('costHelp')])
  if (has((r) => r.seconds)) columns.push([t('colSeconds'), (r) => (r.seconds != null ? t('seconds', { n: r.seconds.toFixed(1) }) : '–')])

  const float = c.float && h('tr', { class: 'muted' }, h('th', { scope: 'row' }, t('float')),
    ...columns.map(([name]) => h('td', {}, name === t('top1') ? percent(c.float!.top1) : name === t('top5') ? percent(c.float!.top5) : name === t('colSize') && c.float_bytes ? bytes(c.float_bytes) : '')))
  return h('section', { id: 'compare' }, h('h2', {}, t('compare')),
    h('p', { class: 'muted' }, t('compareHelp', { n: whole(c.samples) })),
    h('div', { class: 'wide-table card', tabindex: 0, role: 'region', 'aria-label': t('compare') }, h('table', { class: 'compare' },
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('colStrategy')), ...columns.map(([name, , , help]) => h('th', { scope: 'col', title: help }, name)))),
      h('tbody', {}, float, ...rows.map((r) => h('tr', {},
        h('th', { scope: 'row' }, r.name, ...(r.words ?? []).map((w) => h('div', { class: 'words' }, say(w))), r.error ? h('div', { class: 'bad' }, say(r.error)) : null),
        ...columns.map(([, text, bold]) => h('td', bold?.(r) ? { class: 'best' } : {}, text(r)))))))),
    ...(c.notes ?? []).map((n) => h('p', { class: 'muted' }, say(n))))
}

