// The sections around the layers: what is a table, a list or a text.

import { copyButton } from './copy'
import { colourClass } from './datatypes'
import type { Accuracy, Cost, Doc, Finding, Metric, Output, Text } from './document'
import { h } from './dom'
import { links, message } from './findings'
import { big, bytes, decibel, percent, share, signed, whole } from './format'
import { figure } from './objective'
import type { State } from './state'
import { longName } from './table'
import { isWord, say, t, type Word } from './words'

/** summary shows what became of the network: accuracy of both, sizes and cost, and where most is lost. */
export function summary(state: State, choose: (layer: number) => void): HTMLElement {
  const doc = state.doc, r = doc.result
  const e = h('section', { id: 'summary' }, h('h2', {}, t('summary')))
  const cards = h('div', { class: 'cards' })
  if (r?.metric) cards.append(metric(r.metric))
  if (r?.float && r.quantized) for (const top of ['top1', 'top5'] as const) cards.append(accuracy(top, r.float, r.quantized))
  if (r && (r.agreement !== null || r.invalid === r.samples)) cards.append(card(t('agreement'), r.agreement === null ? '–' : percent(r.agreement), t('agreementHelp')))
  if (r) cards.append(card(t('outputSqnr'), decibel(r), r.worst ? t('worstOutput', { name: r.worst }) : t('outputSqnrHelp')))
  if (doc.cost) cards.append(size(doc.cost), relativeCost(doc.cost))
  if (cards.childElementCount > 0) e.append(cards)
  e.append(h('p', { class: 'muted' }, ...(r ? [t('testedOn', { n: whole(r.samples) }), !r.float ? t('noLabels') : null, r.invalid ? t('invalid', { n: whole(r.invalid) }) : null] : [t('noResult')])
    .filter((x) => x !== null).flatMap((x, i) => (i > 0 ? [' · ', x] : [x]))))

  const kinds = new Map<string, number>()
  for (const x of doc.tensors ?? []) kinds.set(x.datatype, (kinds.get(x.datatype) ?? 0) + 1)
  const chips = h('p', { class: 'chips' })
  if (kinds.size > 0) {
    chips.append(h('span', { class: 'muted' }, t('stored')),
      ...[...kinds].sort().map(([name, n]) => h('span', { class: 'chip' }, h('span', { class: `dot ${colourClass(name)}` }), `${name} ${whole(n)}`)))
  }
  const count = (s: Finding['severity']) => (doc.findings ?? []).filter((f) => f.severity === s).length
  for (const s of ['error', 'warning', 'note'] as const) {
    if (count(s) > 0) chips.append(h('a', { class: `chip severity ${s}`, href: '#findings' }, t(`count_${s}${count(s) === 1 ? '' : 's'}` as Word, { n: count(s) })))
  }
  if (chips.childElementCount > 0) e.append(chips)
  const pair = h('div', { class: 'pairs' })
  const side = h('div')
  if (r?.outputs?.length) side.append(outputs(r.outputs))
  // What became of the whole network comes first, then what has a place in it.
  const weight = (f: Finding) => (f.code === 'collapse' ? 0 : f.severity === 'error' ? 1 : f.layers?.length ? 2 : 3)
  const loud = (doc.findings ?? []).filter((f) => f.severity !== 'note').sort((a, b) => weight(a) - weight(b))
  if (loud.length > 0) {
    side.append(h('div', { class: 'card', id: 'first-warnings' }, h('h3', {}, t('firstWarnings')), ...loud.slice(0, 3).map((f) => h('div', { class: `told ${f.severity}` }, ...message(f), links(doc, f, choose))),
      loud.length > 3 || loud.length < (doc.findings ?? []).length ? h('p', {}, h('a', { href: '#findings' }, t('allFindings', { n: whole((doc.findings ?? []).length) }))) : null))
  }
  if (side.childElementCount > 0) pair.append(side)
  const lost = worst(state, choose)
  if (lost) pair.append(lost)
  if (pair.childElementCount > 0) e.append(pair)
  return e
}

/** worst lists the layers that are farthest from the float network, each with the rule that spares it. */
function worst(state: State, choose: (layer: number) => void): HTMLElement | null {
  const list = state.worstFirst().slice(0, 5)
  if (list.length === 0) return null
  const row = (i: number) => {
    const l = state.layers[i]!
    const fall = state.fall(i)
    return h('tr', {}, h('th', { scope: 'row' }, h('button', { class: 'link', 'data-worst': i, title: l.name, onclick: () => choose(i) }, longName(l.name))),
      h('td', {}, decibel(l.error!)), h('td', { class: 'roomy' }, fall === null ? '–' : fall > 0.05 ? `${fall.toFixed(1)} dB` : t('none')),
      h('td', {}, l.spare ? copyButton(() => l.spare!, t('copyRule')) : '–'))
  }
  return h('div', { class: 'card' }, h('h3', {}, t('worstLayers')), h('table', { id: 'worst-layers', class: 'compare tight' },
    h('thead', {}, h('tr', {}, ...(['colLayer', 'sqnr', 'fall', 'spareShort'] as const).map((w, i) => h('th', { scope: 'col', class: i === 2 ? 'roomy' : undefined, title: i === 2 ? t('fallHelp') : undefined }, t(w))))),
    h('tbody', {}, ...list.map(row))), h('p', { class: 'muted hint' }, t('worstHelp')))
}

/** metric shows the user's. */
function metric(m: Metric): HTMLElement {
  const text = (x: number) => figure(x, m.unit)
  const d = m.drop
  return h('div', { class: 'card', id: 'metric' }, h('h3', {}, m.name), h('p', { class: 'big' }, figure(m.quantized, m.unit),
    d != null ? h('small', { class: 'muted' }, d === 0 ? t('same') : `${t(d > 0 ? 'worseBy' : 'betterBy')} ${figure(Math.abs(d), m.unit)}`) : null),
  m.float != null && m.quantized !== null && m.float >= 0 && m.quantized >= 0 ? both(m.float, m.quantized, text) : null,
  h('p', { class: 'muted' }, t(m.lower_is_better ? 'lowerIsBetter' : 'higherIsBetter')))
}

/** size compares weights and biases, and the files, before and after. */
function size(c: Cost): HTMLElement {
  const before = c.files?.[0], after = c.files?.[c.files.length - 1]
  return h('div', { class: 'card', id: 'size' }, h('h3', {}, t('weightBytes')), h('p', { class: 'big' }, bytes(c.bytes),
    c.bytes > 0 && c.bytes < c.float_bytes ? h('small', { class: 'muted' }, t('smaller', { x: (c.float_bytes / c.bytes).toFixed(1) })) : null),
  both(c.float_bytes, c.bytes, bytes),
  before && after && after !== before ? h('p', { class: 'muted', title: `${before.name} → ${after.name}` }, t('fileSizes', { a: bytes(before.bytes), b: bytes(after.bytes) })) : null)
}

/** relativeCost shows what the multiply-adds cost next to float32. */
function relativeCost(c: Cost): HTMLElement {
  return h('div', { class: 'card', id: 'cost' }, h('h3', { title: t('costHelp') }, t('costOf')), h('p', { class: 'big' }, percent(c.relative, 1)),
    both(1, c.relative, (x) => percent(x, 1)),
    h('p', { class: 'muted', title: c.uncounted ? t('uncounted', { list: c.uncounted.join(t('comma')) }) : undefined },
      t('macsOf', { n: big(c.macs) }), t('colon'), ...c.pairs.map((p, i) => `${i > 0 ? t('comma') : ''}${p.bits} ${p.count === c.macs ? '100 %' : share(p.count / c.macs)}`), c.uncounted ? ' *' : null))
}

/** both shows a figure of the float and of the quantized network as bars. */
function both(float: number, quantized: number, text: (x: number) => string): HTMLElement {
  const line = (name: 'float' | 'quantized', v: number) => {
    const bar = h('span', { class: `bar ${name}` })
    bar.style.width = `${(100 * v) / Math.max(float, quantized, 1e-12)}%`
    return h('div', { class: 'pair' }, h('span', {}, t(name)), h('span', { class: 'track' }, bar), h('span', { class: 'figure' }, text(v)))
  }
  return h('div', {}, line('float', float), line('quantized', quantized))
}

/** outputs is the table of the network's outputs: cards where there is no room for columns. */
function outputs(list: Output[]): HTMLElement {
  const number = (x: number | null, digits: number) => (x === null ? '–' : Math.abs(x) >= 1000 ? signed(Math.round(x)) : String(Number(x.toPrecision(digits))))
  const columns: [string, (o: Output) => string][] = [
    [t('colShape'), (o) => (o.shape ?? []).map((d) => (d < 0 ? '?' : d)).join(' × ') || '–'],
    [t('sqnr'), (o) => (o.equal === undefined ? decibel(o) : '–')],
    [t('cosine'), (o) => number(o.cosine, 6)],
    [t('maxDiff'), (o) => number(o.max_error, 4)],
  ]
  if (list.some((o) => o.agreement != null)) columns.push([t('agreement'), (o) => (o.agreement != null ? percent(o.agreement) : '–')])
  if (list.some((o) => o.equal !== undefined)) columns.push([t('equal'), (o) => (o.equal !== undefined ? percent(o.equal) : '–')])
  return h('div', { class: 'card', id: 'outputs' }, h('h3', {}, t('outputs')), cells(t('colOutput'), columns, list.map((o) => ({ row: o, head: [longName(o.name)] }))))
}

/** cells is a table that becomes a list of cards on a narrow page, so that no column is cut. */
export function cells<T>(first: string, columns: [string, (x: T) => string | Node, ((x: T) => boolean)?, string?][], rows: { row: T; head: (Node | string)[]; attributes?: Record<string, string> }[]): HTMLElement {
  return h('table', { class: 'compare cells' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, first), ...columns.map(([name, , , help]) => h('th', { scope: 'col', title: help }, name)))),
    h('tbody', {}, ...rows.map(({ row, head, attributes }) => h('tr', attributes ?? {}, h('th', { scope: 'row' }, ...head),
      ...columns.map(([name, text, best]) => h('td', { 'data-name': name, class: best?.(row) ? 'best' : undefined }, text(row)))))))
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

export function rewrites(doc: Doc): HTMLElement | null {
  const by = new Map<string, { node: string; note: Text }[]>()
  for (const r of doc.rewrites ?? []) by.set(r.rule, [...(by.get(r.rule) ?? []), r])
  if (by.size === 0) return null
  return h('section', { id: 'rewrites' }, h('h2', {}, t('rewrites')), h('div', { class: 'card' },
    ...[...by].map(([rule, list]) => h('details', {}, h('summary', {}, h('b', {}, rule), ` ${t('times', { n: whole(list.length) })}`),
      h('ul', {}, ...list.map((r) => h('li', {}, h('code', {}, r.node), ' ', say(r.note))))))))
}

export function unquantized(doc: Doc): HTMLElement | null {
  const list = doc.float_tensors ?? []
  if (list.length === 0) return null
  return h('section', { id: 'unquantized' }, h('h2', {}, t('unquantized')), h('div', { class: 'card' },
    h('details', {}, h('summary', {}, t('leftHelp', { n: whole(list.length) })),
      h('ul', {}, ...list.map((l) => h('li', {}, `${t(`kind_${l.kind}`)} `, h('code', {}, l.name), h('span', { class: 'muted' }, ` ${say(l.why)}`)))))))
}

export function reproduce(doc: Doc): HTMLElement {
  const r = doc.reproduce
  const text = (r?.commands ?? []).map((c) => c.map(quote).join(' ')).join('\n')
  const list = h('dl', { class: 'about hashes' }, h('dt', {}, t('model')), h('dd', {}, doc.model.path))
  for (const f of r?.facts ?? []) {
    const name = `fact_${f.name}`
    list.append(h('dt', {}, isWord(name) ? t(name) : f.name), h('dd', {}, /^\d+$/.test(f.value) ? whole(Number(f.value)) : f.value))
  }
  return h('section', { id: 'reproduce' }, h('h2', {}, t('reproduce')), h('div', { class: 'card' },
    text ? h('div', { class: 'copyable' }, h('pre', { class: 'command', tabindex: 0 }, text), copyButton(() => text)) : null,
    r?.shortened ? h('p', { class: 'muted hint' }, t('shortened')) : null, list))
}

/** quote writes an argument as a shell reads it. */
export function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`
}
