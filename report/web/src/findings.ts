// Warnings and notes, each with the layers that it is about.

import { ruleBox, ruleIn } from './copy'
import type { Doc, Finding } from './document'
import { h } from './dom'
import { grouped, whole } from './format'
import { say, t } from './words'

/** message shows what a finding says and the way out, with a layer rule in it to copy. */
export function message(f: Finding): (HTMLElement | null)[] {
  const fix = f.fix ? say(f.fix) : ''
  const rule = ruleIn(fix)
  return [
    h('p', {}, h('b', { class: `severity ${f.severity}` }, t(`severity_${f.severity}`)), ` ${grouped(say(f.message))}`),
    fix ? h('p', { class: 'muted' }, `${t('fix')}${t('colon')}${rule ? rule.before : fix}`) : null,
    rule ? ruleBox(rule.rule) : null,
  ]
}

const most = 8 // layers that one finding links to

/** links lead to the layers that a finding is about. */
export function links(doc: Doc, f: Finding, layer: (i: number) => void): HTMLElement | null {
  const at = f.layers ?? []
  if (at.length === 0) return null
  return h('p', { class: 'links' }, h('span', { class: 'muted' }, t('about')), ...at.slice(0, most).map((i) =>
    h('button', { class: 'link', 'data-to': i, onclick: () => layer(i) }, doc.layers?.[i]?.name ?? '')),
  at.length > most ? h('span', { class: 'muted' }, t('more', { n: whole(at.length - most) })) : null)
}

export function findings(doc: Doc, line: (n: number) => void, layer: (i: number) => void): HTMLElement {
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
      h('li', {}, place(f), ...message(f), links(doc, f, layer)))))
}
