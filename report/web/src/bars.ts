// The bar charts: one bar per layer, in the order that the reader chose.

import uPlot from 'uplot'
import { colour, layerDatatype } from './datatypes'
import type { Layer } from './document'
import { h, variable } from './dom'
import { cosine, cosineHeight, decibel, sqnrHeight, whole } from './format'
import { calledBy, shortNames } from './names'
import { stored, type State } from './state'
import { t } from './words'

export interface Metric {
  name: 'sqnr' | 'cosine'
  height(l: Layer): number | null
  text(l: Layer): string
  help?: string
  axis: string
  tick(v: number): string
  ticks?: number[]
}

export function metrics(state: State): Metric[] {
  // A bar without end cannot be drawn: exact layers stand a little above the rest.
  const { top, capped } = state.highest()
  return [
    {
      name: 'sqnr',
      height: (l) => (l.error ? Math.min(top, sqnrHeight(l.error, top)) : null),
      help: capped ? t('capped') : undefined,
      text: (l) => (l.error ? decibel(l.error) : t('notMeasured')),
      axis: t('sqnrAxis'),
      tick: (v) => String(v),
    },
    {
      name: 'cosine',
      height: (l) => (l.error ? cosineHeight(l.error) : null),
      help: t('cosineHelp'),
      text: (l) => (l.error ? cosine(l.error) : t('notMeasured')),
      axis: t('cosineAxis'),
      tick: (v) => (v === 0 ? '0' : `0.${'9'.repeat(v)}`),
      ticks: [0, 1, 2, 3, 4, 5, 6, 7],
    },
  ]
}

export interface Bars {
  element: HTMLElement
  /** redraw shows another order or selection. */
  redraw(): void
  /** repaint follows the theme. */
  repaint(): void
  resize(): void
  destroy(): void
}

/** font is what canvases write in. */
export const font = '12px system-ui, sans-serif'

/** axisStyle is how all charts draw their axes. */
export function axisStyle(): Partial<uPlot.Axis> {
  return {
    stroke: () => variable('--muted'),
    grid: { stroke: () => variable('--line'), width: 1 },
    ticks: { stroke: () => variable('--line'), width: 1, size: 4 },
    font,
    labelFont: font,
  }
}

/** slant is the angle of the names below bars. */
const slant = Math.PI / 3

/** drawNames writes as many names below the bars as there is room for, the chosen one in any case. */
function drawNames(u: uPlot, names: string[], chosen: number): void {
  const ratio = devicePixelRatio
  const { ctx, bbox } = u
  const x = (i: number) => u.valToPos(i, 'x', true)
  const apart = 13 * ratio
  const every = Math.max(1, Math.ceil(apart / Math.max(1e-6, x(1) - x(0))))
  ctx.save()
  ctx.textAlign = 'right'
  ctx.textBaseline = 'middle'
  names.forEach((name, i) => {
    const at = x(i)
    if (at < bbox.left - 1 || at > bbox.left + bbox.width + 1) return
    if (i !== chosen && (i % every !== 0 || (chosen >= 0 && Math.abs(x(chosen) - at) < apart))) return
    ctx.fillStyle = variable(i === chosen ? '--text' : '--muted')
    ctx.font = `${i === chosen ? '600 ' : ''}${11 * ratio}px system-ui, sans-serif`
    ctx.save()
    ctx.translate(at + 2 * ratio, bbox.top + bbox.height + 7 * ratio)
    ctx.rotate(-slant)
    ctx.fillText(name, 0, 0)
    ctx.restore()
  })
  ctx.restore()
}

export function bars(state: State, metric: Metric, choose: (layer: number) => void): Bars {
  let shown = state.shown()
  const tip = h('div', { class: 'tip', 'aria-hidden': 'true' })
  const box = h('div', { class: 'chart', role: 'slider', tabindex: 0, 'aria-orientation': 'horizontal', 'data-chart': metric.name })
  const element = h('figure', { class: 'bars' },
    h('figcaption', {}, h('b', {}, t(metric.name)), metric.help ? h('span', { class: 'muted' }, metric.help) : null), box)

  const data = (): uPlot.AlignedData => [shown.map((_, i) => i), shown.map((i) => metric.height(state.layers[i]!))]
  const fills = () => shown.map((i) => colour(layerDatatype(state.layers[i]!)))
  // Names stand below the bars, slanted; on a narrow page shorter ones.
  const long = calledBy(state.layers)
  const cut = new Map<number, string[]>()
  const names = (most: number) => cut.get(most) ?? cut.set(most, shortNames(long, most)).get(most)!
  const most = () => (box.clientWidth < 600 ? 14 : 20)
  const below = () => Math.ceil(Math.min(most(), Math.max(1, ...long.map((n) => n.length))) * 6.4 * Math.sin(slant)) + 16
  const height = () => 160 + below()

  const plot = new uPlot({
    width: 600,
    height: height(),
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false }, focus: { prox: -1 } },
    scales: {
      x: { time: false, range: (_, min, max) => [min === null ? -0.5 : Math.floor(min) - 0.5, max === null ? 0.5 : Math.ceil(max) + 0.5] },
      y: { range: (_, min, max) => [Math.min(0, min ?? 0), Math.max(1, max ?? 1)] },
    },
    axes: [
      { ...axisStyle(), size: below, grid: { show: false }, ticks: { show: false }, values: (_, v) => v.map(() => '') },
      {
        ...axisStyle(), size: 58, label: metric.axis, labelSize: 18,
        values: (_, splits) => splits.map(metric.tick),
        ...(metric.ticks ? { splits: (u: uPlot) => metric.ticks!.filter((v) => v <= (u.scales.y!.max ?? 0)) } : { space: 28 }),
      },
    ],
    series: [{}, {
      paths: uPlot.paths.bars!({ size: [0.8, 46, 1], disp: { fill: { unit: 3, values: () => fills() }, stroke: { unit: 3, values: () => fills() } } }),
      points: { show: false },
      width: 0,
      fill: '#000',
    }],
    hooks: {
      draw: [(u) => {
        drawNames(u, shown.map((i) => names(most())[i]!), shown.indexOf(state.selected))
        const at = shown.indexOf(state.selected)
        if (at < 0) return
        const { left, top, width, height } = u.bbox
        const step = Math.max(3 * devicePixelRatio, u.valToPos(1, 'x', true) - u.valToPos(0, 'x', true))
        const x = u.valToPos(at, 'x', true)
        if (x < left || x > left + width) return
        u.ctx.save()
        u.ctx.fillStyle = variable('--mark')
        u.ctx.fillRect(x - step / 2, top, step, height)
        u.ctx.restore()
      }],
      setCursor: [(u) => {
        const l = state.layers[shown[u.cursor.idx ?? -1] ?? -1]
        tip.hidden = !l || u.cursor.left! < 0
        if (!l || tip.hidden) return
        tip.replaceChildren(h('b', {}, l.name), h('span', {}, `${l.op} · ${stored(l)}`), h('span', {}, `${t(metric.name)} ${metric.text(l)}`))
        const room = u.over.clientWidth - tip.offsetWidth
        tip.style.left = `${Math.max(0, Math.min(room, u.cursor.left! - tip.offsetWidth / 2))}px`
      }],
    },
  }, data(), box)
  tip.hidden = true
  plot.over.append(tip)

  // A click is where the button came up at the place it went down: a drag zooms.
  let down = 0
  plot.over.addEventListener('mousedown', (e) => { down = e.clientX })
  plot.over.addEventListener('click', (e) => {
    const i = shown[plot.posToIdx(e.clientX - plot.over.getBoundingClientRect().left)]
    if (i !== undefined && Math.abs(e.clientX - down) < 4) choose(i)
  })
  box.addEventListener('keydown', (e) => {
    const at = shown.indexOf(state.selected)
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: shown.length - 1 }[e.key]
    if (to === undefined) return
    e.preventDefault()
    const i = shown[Math.max(0, Math.min(shown.length - 1, to))]
    if (i !== undefined) choose(i)
  })

  const describe = () => {
    const at = shown.indexOf(state.selected)
    const l = state.layers[state.selected]
    box.setAttribute('aria-label', t('chartLabel', { metric: t(metric.name), n: whole(shown.length) }))
    box.setAttribute('aria-valuemin', '1')
    box.setAttribute('aria-valuemax', String(Math.max(1, shown.length)))
    box.setAttribute('aria-valuenow', String(Math.max(1, at + 1)))
    box.setAttribute('aria-valuetext', l ? `${l.name}, ${metric.text(l)}` : '')
  }
  describe()

  let order = shown.join()
  return {
    element,
    redraw() {
      shown = state.shown()
      describe()
      if (shown.join() === order) return plot.redraw(false)
      order = shown.join()
      plot.setData(data())
    },
    // Bars keep their colours in their paths, which redraw(true) makes anew.
    repaint: () => plot.redraw(true),
    resize: () => plot.setSize({ width: Math.max(200, box.clientWidth), height: height() }),
    destroy: () => plot.destroy(),
  }
}
