// What a search tried: the curve, the strategy of the chosen trial, all trials.

import { sourceBox, type Section } from './compare'
import type { Doc, Search, Trial, Unit } from './document'
import { h } from './dom'
import { percent, whole } from './format'
import type { Chart } from './histogram'
import { figure, tick } from './objective'
import { cells } from './sections'
import { tradeoff, type Mark } from './tradeoff'
import { isWord, say, t, type Word } from './words'

/** sourceOf puts a strategy's file together from pieces that strategies share. */
export function sourceOf(s: Search, trial: Trial): string {
  return (s.strategies?.[trial.strategy] ?? []).map((i) => s.pieces![i]).join('')
}

export function search(doc: Doc): Section | null {
  const s = doc.search
  if (!s) return null
  const trials = s.trials ?? []
  const charts: Chart[] = []
  const o = s.objective
  const tested = trials.filter((x) => x.value !== null && x.state !== 'failed')
  let chosen = s.best >= 0 ? s.best : trials.indexOf(tested[0]!)

  // Of trials of the same strategy the last tells most: it is on all samples.
  const last = new Map<number, number>()
  trials.forEach((x, i) => { if (x.value !== null && x.state !== 'failed' && x.strategy >= 0) last.set(x.strategy, i) })
  const marks: Mark[] = trials.flatMap((x, i) => (x.value === null || x.state === 'failed' || (x.strategy >= 0 && last.get(x.strategy) !== i) ? [] : [{
    // Trials on a part of the samples stand by their drop there, so that all can be compared.
    key: i, x: x.cost, y: o.float != null && x.drop != null ? o.float - (o.lower_is_better ? -x.drop : x.drop) : x.value, kind: i === s.best ? 'best' : x.state, whole: x.state !== 'stopped', title: say(x.words), name: i === s.best ? t('found') : '',
    lines: [`${o.name} ${figure(x.value, o.unit)}`, `${t('colCost')} ${percent(x.cost, 1)}`, `${t('trial', { n: x.number })}${t('comma')}${t(`state_${x.state}`)}`],
  }]))
  const limit = o.limit ?? null
  const chart = tradeoff({
    marks, lowerIsBetter: o.lower_is_better ?? false, chosen,
    choose: (i) => choose(i, true),
    x: { label: t('costAxis'), text: (v) => `${Number((100 * v).toPrecision(3))} %`, doubling: true },
    y: { label: o.unit === 'dB' ? t('withUnit', { name: o.name, unit: 'dB' }) : o.name, text: (v) => tick(v, o.unit ?? '') },
    lines: [
      ...(o.float != null ? [{ at: o.float, name: `${t('float')} ${figure(o.float, o.unit)}`, kind: 'float' as const }] : []),
      ...(limit !== null ? [{ at: limit, name: `${t('limit')} ${figure(limit, o.unit)}`, kind: 'limit' as const }] : []),
    ],
  })
  charts.push(chart)
  const panel = h('div', { class: 'card', id: 'chosen-strategy' })
  const choose = (i: number, reveal: boolean) => {
    chosen = i
    chart.mark(i)
    const x = trials[i]
    panel.replaceChildren(...(x ? told(s, x).filter((e) => e !== null) : []))
    for (const e of table.querySelectorAll('tr[data-row]')) e.setAttribute('aria-selected', String(Number((e as HTMLElement).dataset.row) === i))
    if (reveal && matchMedia('(max-width: 60rem)').matches) panel.scrollIntoView({ block: 'start' })
  }

  const columns: [string, (x: Trial) => string, ((x: Trial) => boolean)?, string?][] = [
    [t('phase'), (x) => phase(x.phase)],
    [t('colCost'), (x) => percent(x.cost, 2), undefined, t('costHelp')],
    [o.name, (x) => figure(x.value, o.unit)],
    [t('worseBy'), (x) => (x.drop == null ? '–' : difference(x.drop, o.unit, x.std_err))],
    [t('samplesSeen'), (x) => (x.samples ? whole(x.samples) : '–')],
    [t('verdict'), (x) => (x.failed ? say(x.failed) : t(`state_${x.state}`))],
  ]
  const table = h('div', { class: 'card trials' }, cells<Trial>(t('trials'), columns, trials.map((x, i) => ({
    row: x, attributes: { 'data-row': String(i), ...(i === s.best ? { class: 'found' } : {}) },
    head: [h('span', { class: 'muted' }, `${x.number} `), x.strategy >= 0 ? h('button', { class: 'link', onclick: () => choose(i, true) }, say(x.words)) : say(x.words)],
  }))))
  const element = h('section', { id: 'search' }, h('h2', {}, t('search')), ...result(s),
    marks.length > 0 ? h('div', { class: 'halves even' }, h('div', { class: 'card' }, chart.element, legend(marks), h('p', { class: 'muted hint' }, t('tradeoffHelp'), o.float != null ? ` ${t('tradeoffDrop')}` : null)), panel) : null,
    h('h3', {}, t('allTrials', { n: whole(trials.length) })), table)
  choose(chosen, false)
  return { element, charts }
}

/** difference writes a drop, with its standard error. */
function difference(x: number, unit: Unit, error?: number): string {
  if (unit === '%') return t('points', { d: (100 * x).toFixed(2) + (error ? ` ± ${(100 * error).toFixed(2)}` : '') })
  return figure(x, unit) + (error ? ` ± ${figure(error, unit)}` : '')
}

/** phase says why a trial was made; one that the page does not know keeps its name. */
function phase(name: string): string {
  const word = `phase_${name}`
  return isWord(word) ? t(word) : name
}

/** result says what was found. */
function result(s: Search): HTMLElement[] {
  const best = s.trials?.[s.best]
  const o = s.objective
  const card = (name: string, big: string, help: string) => h('div', { class: 'card' }, h('h3', {}, name), h('p', { class: 'big' }, big), h('p', { class: 'muted' }, help))
  const notes = [h('p', { class: 'muted' }, t(s.complete ? 'searchComplete' : 'searchCut', { n: whole(s.trials?.length ?? 0) }), ' ', t('searchSamples', { n: whole(s.searched), m: whole(s.held_out) }))]
  if (!best) return [h('p', { class: 'bad' }, t('nothingFound_search')), ...notes]
  const cards = h('div', { class: 'cards' }, card(t('colCost'), percent(best.cost, 2), t('costBeside')), card(o.name, figure(best.value, o.unit),
    `${o.float != null ? `${t('float')} ${figure(o.float, o.unit)}` : ''}${best.drop != null ? `${o.float != null ? t('comma') : ''}${t('worseBy')} ${difference(best.drop, o.unit)}` : ''}`))
  if (s.held_out_drop != null) cards.append(card(t('heldOut'), difference(s.held_out_drop, o.unit), t('heldOutHelp', { n: whole(s.held_out) })))
  cards.append(card(t('found'), s.file ?? '', say(best.words)))
  return [cards, ...notes]
}

function told(s: Search, x: Trial): (HTMLElement | null)[] {
  const source = sourceOf(s, x)
  return [
    h('h3', {}, t('trial', { n: x.number })), h('p', { class: 'words' }, say(x.words)),
    h('p', {}, `${s.objective.name} ${figure(x.value, s.objective.unit)}${t('comma')}${t('colCost')} ${percent(x.cost, 2)}${t('comma')}${t(`state_${x.state}`)}`),
    x.failed ? h('p', { class: 'bad' }, say(x.failed)) : null,
    source ? sourceBox(source) : h('p', { class: 'muted' }, t('noSource')),
  ]
}

function legend(marks: Mark[]): HTMLElement {
  const kinds = [...new Set(marks.map((m) => m.kind))]
  return h('p', { class: 'legend' }, ...kinds.map((k) => h('span', {}, h('span', { class: `point still ${k}` }), t(k === 'best' ? 'found' : (`state_${k}` as Word)))))
}
