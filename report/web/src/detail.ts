// What is known of the chosen layer and of its tensors.

import { channels } from './channels'
import { ruleBox } from './copy'
import { colourClass } from './datatypes'
import type { Err, Layer, Setting, Tensor, Text } from './document'
import { h } from './dom'
import { bytes, cosine, decibel, number, percent, share, signed, whole } from './format'
import { gridOf, histogram, type Chart } from './histogram'
import { message } from './findings'
import { stored, type State } from './state'
import { say, t, type Word } from './words'

export interface Detail {
  element: HTMLElement
  /** charts are to be resized once the element stands in the page. */
  charts: Chart[]
}

export interface Actions {
  /** layer shows another layer. */
  layer(i: number): void
  /** tensor shows another tensor of the layer. */
  tensor(i: number): void
  /** line shows a line of the strategy file. */
  line(n: number): void
  logCounts(on: boolean): void
}

export function detail(state: State, act: Actions): Detail {
  const l = state.layers[state.selected]
  const charts: Chart[] = []
  if (!l) return { element: h('div'), charts }
  const rule = state.doc.strategy?.rules[l.rule]
  const own = state.of(state.selected).map((i) => [i, state.tensors[i]!] as const)
  const server = l.result >= 0 && state.tensors[l.result]!.layer !== state.selected ? state.tensors[l.result]!.layer : -1
  const x = state.tensors[state.tensor]
  const unquantized = (state.doc.float_tensors ?? []).filter((e) => e.layer === state.selected)

  const about = h('dl', { class: 'about' })
  const fact = (name: Word, value: Node | string | undefined) => { if (value) about.append(h('dt', {}, t(name)), h('dd', {}, value)) }
  fact('colLayer', l.op)
  fact('colStored', l.weights ? t('weightsActivation', { w: l.weights, a: l.activation }) : stored(l))
  fact('module', l.module)
  fact('group', l.group?.join(' + '))
  if (l.xmodel) fact('xmodel', inXModel(l.xmodel))
  if (rule) fact('ruleApplies', h('button', { class: 'link', onclick: () => act.line(rule.first) }, `${say(rule.text)}${t('comma')}${t('line', { n: rule.first })}`))
  if (server >= 0) fact('storedBy', h('span', {}, h('button', { class: 'link', onclick: () => act.layer(server) }, state.layers[server]!.name), ` ${t('storedByHelp')}`))
  const inputs = (l.inputs ?? []).flatMap((i, n) => [n > 0 ? t('comma') : '', h('button', { class: 'link', onclick: () => act.layer(i) }, state.layers[i]!.name)])
  if (inputs.length > 0) fact('reads', h('span', {}, ...inputs))
  const warnings = state.findings(state.selected)

  const element = h('section', { class: 'card detail', 'aria-label': t('detail') },
    h('h3', { tabindex: -1 }, l.name),
    about,
    figures(state, l),
    ...warnings.map((f) => h('div', { class: `told ${f.severity}` }, ...message(f))),
    l.spare ? h('div', { class: 'spare' }, h('h4', {}, t('spare')), ruleBox(l.spare), h('p', { class: 'muted hint' }, t(server >= 0 && l.tensors.length === 0 ? 'spareServer' : 'spareHelp'))) : null,
    unquantized.length > 0 ? h('details', { class: 'muted' }, h('summary', {}, t('leftHelp', { n: unquantized.length })),
      ...unquantized.map((e) => h('p', {}, `${t(`kind_${e.kind}`)} ${e.name}${t('colon')}${say(e.why)}`))) : null,
    own.length === 0 ? h('p', { class: 'muted' }, t('noTensors')) : tabs(own, state.selected, state.tensor, act))
  if (x) element.append(tensor(state, x, act, charts))
  return { element, charts }
}

/** inXModel tells what a layer becomes in an .xmodel, or why it cannot be written. */
function inXModel(x: NonNullable<Layer['xmodel']>): HTMLElement {
  const refused = (x.refused ?? []).map((r) => h('div', {}, `${t('xmodelRefused')}${t('colon')}${say(r)}`))
  const notes = (x.notes ?? []).map((n) => h('div', { class: 'muted' }, say(n)))
  return h('span', { title: t('xmodelHelp') }, x.operators?.join(', ') || (refused.length > 0 ? '' : t('xmodelPart')), ...refused, ...notes)
}

/** figures shows a layer's error and what it costs. */
function figures(state: State, l: Layer): HTMLElement | null {
  const list = h('dl', { class: 'figures' })
  const one = (name: Word, value: string, help?: Word) => list.append(h('div', { title: help && t(help), class: value.includes('→') ? 'broad' : undefined }, h('dt', {}, t(name)), h('dd', {}, value)))
  const e = l.error
  if (e) {
    one('sqnr', decibel(e))
    const fall = state.fall(state.selected)
    if (fall !== null) one('fall', fall > 0.05 ? `${fall.toFixed(1)} dB` : t('none'), 'fallHelp')
    one('cosine', cosine(e))
    one('mse', number(e.mse))
    one('maxDiff', number(e.max_diff))
  }
  if (l.macs) one('macs', whole(l.macs))
  if (l.bit_share) one('bitShare', percent(l.bit_share, 1), 'bitShareHelp')
  if (l.bytes) one('weightBytes', l.float_bytes ? `${bytes(l.float_bytes)} → ${bytes(l.bytes)}` : bytes(l.bytes), 'weightBytesHelp')
  return list.childElementCount > 0 ? list : null
}

function tabs(own: (readonly [number, Tensor])[], layer: number, chosen: number, act: Actions): HTMLElement {
  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': t('tensors') },
    ...own.map(([i, x]) => h('button', {
      role: 'tab', id: `tab-${i}`, 'aria-selected': String(i === chosen), 'aria-controls': 'tensor', tabindex: i === chosen ? 0 : -1, 'data-tensor': i,
      onclick: () => act.tensor(i),
    }, x.layer === layer ? t(`kind_${x.kind}`) : t('kindShared', { kind: t(`kind_${x.kind}`) }), h('span', { class: `dot ${colourClass(x.datatype)}` }), h('small', {}, x.datatype))))
  list.addEventListener('keydown', (e) => {
    const at = own.findIndex(([i]) => i === chosen)
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[e.key]
    if (to === undefined) return
    e.preventDefault()
    const next = own[(to + own.length) % own.length]![0]
    act.tensor(next)
    document.getElementById(`tab-${next}`)?.focus()
  })
  return list
}

function tensor(state: State, x: Tensor, act: Actions, charts: Chart[]): HTMLElement {
  const list = h('dl', { class: 'about' })
  const fact = (name: Word, value: string | undefined, help?: Word) => {
    if (value) list.append(h('dt', help ? { title: t(help) } : {}, t(name)), h('dd', {}, value))
  }
  const s = x.seen
  const error = (e: Err) => `${decibel(e)} · ${t('cosine')} ${cosine(e)} · ${t('mse')} ${number(e.mse)}`
  if (s) {
    if (s.accumulated) fact('accumulated', error(s.accumulated), 'accumulatedHelp')
    fact('own', error(s.own), 'ownHelp')
    fact('clipped', share(s.clipped), 'clippedHelp')
    fact('zeroed', share(s.zeroed), 'zeroedHelp')
    fact('range', `${number(s.min)} … ${number(s.max)}`)
    fact('elements', whole(s.elements))
    if (s.invalid) fact('infinite', whole(s.invalid))
  }
  const between = ([a, b]: [number, number], write: (x: number) => string = number) => (a === b ? write(a) : `${write(a)} … ${write(b)}`)
  if (x.scales > 0) {
    fact('scale', `${between(x.scale)}${t('inBrackets', { x: x.scales > 1 ? t('perChannel', { axis: x.axis }) : t('perTensor') })}`)
    const fix = [-Math.log2(x.scale[1]), -Math.log2(x.scale[0])] as [number, number]
    const power = settingsOf(state, x).some((e) => e.key === 'scale_type' && e.value === 'poweroftwo')
    if (power) fact('fixPosition', between(fix, String))
    fact('zeroPoint', between(x.zero_point, signed))
    fact('integers', `${signed(x.min)} … ${signed(x.max)}`)
  }
  fact('where', say(x.where))
  fact('aligned', x.aligned && say(x.aligned))

  const element = h('div', { id: 'tensor', role: 'tabpanel', 'aria-labelledby': `tab-${state.tensors.indexOf(x)}` },
    h('p', { class: 'value' }, x.name), list)
  const hist = histogram(x, state.logCounts)
  if (hist) {
    charts.push(hist)
    const grid = gridOf(x)
    const log = h('input', { type: 'checkbox', id: 'log', checked: state.logCounts, onchange: () => act.logCounts(log.checked) })
    element.append(h('figure', {},
      h('figcaption', {}, h('b', {}, t('histogram')),
        h('span', { class: 'muted' }, !grid ? t('histogramFloat') : grid.inner ? t('histogramChannels') : `${t('histogramHelp')}${t('semicolon')}${t('gridStep', { s: number(grid.step) })}`),
        h('label', { class: 'check' }, log, t('logCounts'))),
      hist.element))
  }
  const range = channels(x)
  if (range) {
    charts.push(range)
    const per = x.seen!.channels!.per
    element.append(h('figure', {},
      h('figcaption', {}, h('b', {}, t('channels')),
        h('span', { class: 'muted' }, t('channelsHelp') + (per > 1 ? `${t('semicolon')}${t('channelsJoined', { n: per })}` : ''))),
      range.element))
  }
  element.append(h('h4', {}, t('settings')), settings(settingsOf(state, x), act))
  return element
}

function settingsOf(state: State, x: Tensor): Setting[] {
  return state.doc.settings?.[x.settings] ?? []
}

function settings(list: Setting[], act: Actions): HTMLElement {
  const reason = (s: { line?: number; reason: Text }) => {
    const line = s.line
    return line ? [h('button', { class: 'link', 'data-line': line, onclick: () => act.line(line) }, t('line', { n: line })), ` ${say(s.reason)}`] : [say(s.reason)]
  }
  return h('div', { class: 'wide-table' }, h('table', { class: 'settings' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('setting')), h('th', { scope: 'col' }, t('value')), h('th', { scope: 'col' }, t('reason')))),
    h('tbody', {}, ...list.map((s) => h('tr', {},
      h('th', { scope: 'row' }, s.key), h('td', {}, s.value),
      h('td', {}, ...reason(s), ...(s.overridden ?? []).map((o) => h('div', { class: 'muted' }, `${t('overridden')} ${o.value}${t('colon')}`, ...reason(o)))))))))
}
