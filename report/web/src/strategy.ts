// The strategy file, each rule marked with what it matched.

import type { Doc, Rule } from './document'
import { h } from './dom'
import { whole } from './format'
import { say, t } from './words'

const most = 200 // names that a list shows

export function strategy(doc: Doc, choose: (layer: number) => void): HTMLElement | null {
  const s = doc.strategy
  if (!s) return null
  const e = h('section', { id: 'strategy' }, h('h2', {}, t('strategy'), s.file && !s.restored ? h('small', { class: 'muted' }, s.file) : null))
  if (s.source === '') {
    e.append(h('p', { class: 'muted' }, t('strategyDefault', { target: s.target })))
    return e
  }
  if (s.restored) e.append(h('p', { class: 'muted' }, t('strategyRestored')))

  // How many tensors take at least one setting from a line.
  const uses = new Map<number, number>()
  const linesOf = (doc.settings ?? []).map((list) => new Set(list.map((x) => x.line ?? 0)))
  for (const x of doc.tensors ?? []) for (const n of linesOf[x.settings] ?? []) uses.set(n, (uses.get(n) ?? 0) + 1)

  const code = h('div', { class: 'code card' })
  s.source.replace(/^\ufeff/, '').replace(/\r?\n$/, '').split(/\r?\n/).forEach((text, i) => {
    const n = i + 1
    const rule = s.rules.findIndex((r) => r.first <= n && n <= r.last)
    const used = uses.get(n)
    const row = h('div', { class: rule >= 0 ? `line rule rule-${rule % 6}` : 'line', id: `line-${n}`, tabindex: -1 },
      h('span', { class: 'number', 'aria-hidden': 'true' }, String(n)),
      h('code', {}, text),
      used ? h('span', { class: 'used' }, used === 1 ? t('lineTensor') : t('lineTensors', { n: whole(used) })) : null)
    code.append(row)
    const first = s.rules[rule]
    if (first?.first === n) code.append(matched(doc, first, choose))
  })
  e.append(code)
  return e
}

function matched(doc: Doc, r: Rule, choose: (layer: number) => void): HTMLElement {
  const names = (layers: number[]) => h('ul', {}, ...layers.slice(0, most).map((i) => h('li', {},
    h('button', { class: 'link', onclick: () => choose(i) }, doc.layers?.[i]?.name ?? ''))),
  layers.length > most ? h('li', { class: 'muted' }, t('more', { n: whole(layers.length - most) })) : null)
  const n = r.layers.length
  const head = h('summary', {}, h('b', {}, say(r.text)), ` ${n === 0 ? t('ruleNothing') : n === 1 ? t('ruleLayer') : t('ruleLayers', { n: whole(n) })}`)
  return h('details', { class: 'match' }, head, n > 0 ? names(r.layers) : null,
    r.lost?.length ? h('div', { class: 'muted' }, t('ruleLost'), names(r.lost)) : null)
}
