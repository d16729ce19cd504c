// The sections around the layers: what is a table, a list or a text.

import { colourClass } from './datatypes'
import type { Accuracy, CompareRow, Doc, Finding, Output } from './document'
import { h } from './dom'
import { big, bytes, decibel, percent, whole } from './format'
import { isWord, say, t } from './words'

/** summary shows the accuracy of both networks. */
export function summary(doc: Doc): HTMLElement {
  const r = doc.result
  const e = h('section', { id: 'summary' }, h('h2', {}, t('summary')))
  if (!r) e.append(h('p', { class: 'muted' }, t('noResult')))
  else {
    const cards = h('div', { class: 'cards' })
    if (r.float && r.quantized) {
      for (const top of ['top1', 'top5'] as const) cards.append(accuracy(top, r.float, r.quantized))
    }
    if (r.agreement !== null || r.invalid === r.samples) {
      cards.append(card(t('agreement'), r.agreement === null ? '–' : percent(r.agreement), t('agreementHelp')))
    }
    cards.append(card(t('outputSqnr'), decibel(r), r.worst ? t('worstOutput', { name: r.worst }) : t('outputSqnrHelp')))
    e.append(cards, h('p', { class: 'muted' }, t('testedOn', { n: whole(r.samples) }),
      !r.float ? ` · ${t('noLabels')}` : null, r.invalid ? ` · ${t('invalid', { n: whole(r.invalid) })}` : null))
    if (r.outputs) e.append(outputs(r.outputs))
  }
  const kinds = new Map<string, number>()
  for (const x of doc.tensors ?? []) kinds.set(x.datatype, (kinds.get(x.datatype) ?? 0) + 1)
  if (kinds.size > 0) {
    e.append(h('p', { class: 'chips' }, h('span', { class: 'muted' }, t('stored')),
      ...[...kinds].sort().map(([name, n]) => h('span', { class: 'chip' }, h('span', { class: `dot ${colourClass(name)}` }), `${name} ${n}`))))
  }
  return e
}

/** outputs is the table of the network's outputs. */
function outputs(list: Output[]): HTMLElement {
  const number = (x: number | null, digits: number) => (x === null ? '–' : x.toPrecision(digits))
  const head = [t('colOutput'), t('colShape'), t('sqnr'), t('cosine'), t('maxDiff'), t('agreement')]
  return h('div', { class: 'wide-table card', tabindex: 0, role: 'region', 'aria-label': t('colOutput') }, h('table', { id: 'outputs', class: 'compare' },
    h('thead', {}, h('tr', {}, ...head.map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', {}, ...list.map((o) => h('tr', {}, h('th', { scope: 'row' }, o.name),
      ...[(o.shape ?? []).map((d) => (d < 0 ? '?' : d)).join(' × '), o.equal === undefined ? decibel(o) : '–', number(o.cosine, 6), number(o.max_error, 4),
        o.agreement != null ? percent(o.agreement) : o.equal !== undefined ? percent(o.equal) : '–'].map((text) => h('td', {}, text)))))))
}

function card(title: string, value: string, help: string): HTMLElement {
  return h('div', { class: 'card' }, h('h3', {}, title), h('p', { class: 'big' }, value), h('p', { class: 'muted' }, help))
}

function accuracy(top: 'top1' | 'top5', float: Accuracy, quantized: Accuracy): HTMLElement {
  const d = 100 * (quantized[top] - float[top])
  const line = (name: 'float' | 'quantized', v: number) => {
    const bar = h('span', { class: `bar ${name}` })
    bar.style.width = `${100 * v}%`
    return h('div', { class: 'pair' }, h('span', {}, t(name)), h('span', { class: 'track' }, bar), h('span', { class: 'figure' }, percent(v)))
  }
  const change = Math.abs(d) < 0.005 ? t('same') : t('points', { d: `${d > 0 ? '+' : '−'}${Math.abs(d).toFixed(2)}` })
  return h('div', { class: 'card' }, h('h3', {}, t(top)), h('p', { class: 'big' }, percent(quantized[top]), h('small', { class: d < -1 ? 'bad' : 'muted' }, change)),
    line('float', float[top]), line('quantized', quantized[top]))
}

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

export function findings(doc: Doc, line: (n: number) => void): HTMLElement {
  const list = doc.findings ?? []
  const own = doc.strategy && !doc.strategy.restored ? doc.strategy.file : ''
  const place = (f: Finding) => {
    const n = f.line
    if (!f.file) return null
    if (n && own !== '' && f.file === own) return h('button', { class: 'link', onclick: () => line(n) }, t('line', { n }))
    return h('span', { class: 'muted' }, n ? `${f.file}:${n}` : f.file)
  }
  return h('section', { id: 'findings' }, h('h2', {}, t('findings')),
    list.length === 0 ? h('p', { class: 'muted' }, t('noFindings')) : h('ul', { class: 'findings card' }, ...list.map((f) =>
      h('li', {}, h('b', { class: `severity ${f.severity}` }, t(`severity_${f.severity}`)), h('div', {}, place(f), h('p', {}, say(f.message)),
        f.fix ? h('p', { class: 'muted' }, `${t('fix')}: ${say(f.fix)}`) : null)))))
}

export function rewrites(doc: Doc): HTMLElement | null {
  const by = new Map<string, { node: string; note: string }[]>()
  for (const r of doc.rewrites ?? []) by.set(r.rule, [...(by.get(r.rule) ?? []), r])
  if (by.size === 0) return null
  return h('section', { id: 'rewrites' }, h('h2', {}, t('rewrites')), h('div', { class: 'card' },
    ...[...by].map(([rule, list]) => h('details', {}, h('summary', {}, h('b', {}, rule), ` ${t('times', { n: list.length })}`),
      h('ul', {}, ...list.map((r) => h('li', {}, h('code', {}, r.node), ` ${r.note}`)))))))
}

export function left(doc: Doc): HTMLElement | null {
  const list = doc.left ?? []
  if (list.length === 0) return null
  return h('section', { id: 'left' }, h('h2', {}, t('left')), h('div', { class: 'card' },
    h('details', {}, h('summary', {}, t('leftHelp', { n: list.length })),
      h('ul', {}, ...list.map((l) => h('li', {}, `${t(`kind_${l.kind}`)} `, h('code', {}, l.name), h('span', { class: 'muted' }, ` ${say(l.why)}`)))))))
}

export function reproduce(doc: Doc): HTMLElement {
  const r = doc.reproduce
  const text = (r?.commands ?? []).map((c) => c.map(quote).join(' ')).join('\n')
  const list = h('dl', { class: 'about hashes' }, h('dt', {}, t('model')), h('dd', {}, doc.model.path))
  for (const f of r?.facts ?? []) {
    const name = `fact_${f.name}`
    list.append(h('dt', {}, isWord(name) ? t(name) : f.name), h('dd', {}, f.value))
  }
  return h('section', { id: 'reproduce' }, h('h2', {}, t('reproduce')), h('div', { class: 'card' },
    text ? h('pre', { class: 'command', tabindex: 0 }, text) : null, list))
}

/** quote writes an argument as a shell reads it. */
export function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`
}
