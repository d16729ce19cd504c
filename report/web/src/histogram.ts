// The histogram of a tensor, with the thresholds of clipping and the grid.

import uPlot from 'uplot'
import { axisStyle } from './bars'
import { colour } from './datatypes'
import { counts, floats, type Tensor } from './document'
import { h, variable } from './dom'
import { number, whole } from './format'
import { t } from './words'

/** Grid is what integers stand for, and beyond what values are clipped. */
interface Grid {
  step: number
  low: number
  high: number
  clip: { low: number; high: number }
  /** inner is where clipping begins in the channel with the narrowest range, clip then in the widest; there is no grid for all. */
  inner?: { low: number; high: number }
}

/** clipping returns where it begins: half a step beyond the ends of a grid. */
export function clipping(x: Tensor, low: number, high: number): { low: number; high: number } {
  const half = (high - low) / Math.max(1, x.max - x.min) / 2
  return { low: low - half, high: high + half }
}

/** gridOf returns the grid of a tensor, null for float types. */
export function gridOf(x: Tensor): Grid | null {
  if (x.scales === 0) return null
  const low = (x.min - x.zero_point[0]) * x.scale[1], high = (x.max - x.zero_point[0]) * x.scale[1]
  const lows = floats(x.seen?.channels?.low), highs = floats(x.seen?.channels?.high)
  const one = { step: x.scale[1], low, high, clip: clipping(x, low, high) }
  if (x.scales === 1 || x.scale[0] === x.scale[1] || lows.length === 0) return one
  const all = lows.map((v, i) => clipping(x, v, highs[i]!))
  return {
    ...one,
    clip: { low: Math.min(...all.map((e) => e.low)), high: Math.max(...all.map((e) => e.high)) },
    inner: { low: Math.max(...all.map((e) => e.low)), high: Math.min(...all.map((e) => e.high)) },
  }
}

export interface Chart {
  element: HTMLElement
  repaint(): void
  resize(): void
  destroy(): void
}

export function histogram(x: Tensor, log: boolean): Chart | null {
  const hist = x.seen?.histogram
  if (!x.seen || !hist) return null
  const n = counts(hist.counts)
  const mid = n.map((_, i) => hist.low + (i + 0.5) * hist.width)
  const grid = gridOf(x)
  // Empty bins at the ends are no part of the picture; thresholds are, unless
  // they lie so far out that the values would vanish.
  let first = n.findIndex((c) => c > 0), last = n.length - 1
  while (last > first && n[last] === 0) last--
  first = Math.max(0, first)
  let from = hist.low + first * hist.width, to = hist.low + (last + 1) * hist.width
  const room = to - from
  if (grid) {
    from = Math.min(from, Math.max(grid.clip.low - grid.step / 2, from - room))
    to = Math.max(to, Math.min(grid.clip.high + grid.step / 2, to + room))
  }
  const margin = 0.02 * (to - from)
  const height = 220
  const box = h('div', { class: 'chart', role: 'img', 'aria-label': t('histogramLabel', { name: x.name, n: whole(x.seen.elements), lo: number(x.seen.min), hi: number(x.seen.max) }) })

  const plot = new uPlot({
    width: 400,
    height,
    padding: [10, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
    scales: {
      x: { time: false, min: from - margin, max: to + margin, range: (_, a, b) => [a, b] },
      y: { range: (_, __, max) => [0, (max ?? 1) * 1.05 || 1] },
    },
    axes: [
      { ...axisStyle(), size: 30, space: 60, values: (_, v) => v.map(number) },
      {
        ...axisStyle(), size: 58,
        ...(log
          ? { splits: (u: uPlot) => Array.from({ length: Math.floor(u.scales.y!.max ?? 0) + 1 }, (_, i) => i), values: (_: uPlot, v: number[]) => v.map((e) => (e === 0 ? '0' : short(10 ** e))) }
          : { space: 28, values: (_: uPlot, v: number[]) => v.map(short) }),
      },
    ],
    series: [{}, {
      // Bins touch: the width of the bars is that of the bins.
      paths: uPlot.paths.bars!({ size: [1, Infinity], gap: 0 }),
      points: { show: false },
      width: 0,
      fill: () => colour(x.datatype),
    }],
    hooks: { draw: [(u) => { if (grid) overlay(u, grid) }] },
    // A count of 1 has a height of its own: log10(1+n).
  }, [mid, n.map((c) => (log ? Math.log10(1 + c) : c))], box)

  return {
    element: box,
    repaint: () => plot.redraw(false),
    resize: () => plot.setSize({ width: Math.max(200, box.clientWidth), height }),
    destroy: () => plot.destroy(),
  }
}

function short(n: number): string {
  if (n >= 1e9) return `${n / 1e9}G`
  if (n >= 1e6) return `${n / 1e6}M`
  return n >= 1e3 ? `${n / 1e3}k` : String(n)
}

/** overlay draws what is clipped, the thresholds and the grid. */
function overlay(u: uPlot, grid: Grid): void {
  const { ctx, bbox } = u
  const ratio = devicePixelRatio
  const x = (v: number) => u.valToPos(v, 'x', true)
  const right = bbox.left + bbox.width, bottom = bbox.top + bbox.height
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  ctx.fillStyle = variable('--clip-area')
  const low = x(grid.clip.low), high = x(grid.clip.high)
  if (low > bbox.left) ctx.fillRect(bbox.left, bbox.top, low - bbox.left, bbox.height)
  if (high < right) ctx.fillRect(high, bbox.top, right - high, bbox.height)

  if (!grid.inner) lines(u, grid)
  const threshold = (v: number, dash: number[]) => {
    const at = Math.round(x(v)) + 0.5
    ctx.setLineDash(dash.map((d) => d * ratio))
    ctx.beginPath()
    ctx.moveTo(at, bbox.top)
    ctx.lineTo(at, bottom)
    ctx.stroke()
  }
  ctx.strokeStyle = variable('--clip')
  ctx.lineWidth = 1.5 * ratio
  for (const v of [grid.clip.low, grid.clip.high]) threshold(v, [6, 4])
  if (grid.inner) for (const v of [grid.inner.low, grid.inner.high]) threshold(v, [2, 3])
  ctx.restore()
}

/** lines draws the grid: lines where there is room between them, else marks below, else a strip. */
function lines(u: uPlot, grid: Grid): void {
  const { ctx, bbox } = u
  const ratio = devicePixelRatio
  const x = (v: number) => u.valToPos(v, 'x', true)
  const bottom = bbox.top + bbox.height
  const apart = x(grid.step) - x(0)
  ctx.strokeStyle = ctx.fillStyle = variable('--grid')
  ctx.lineWidth = Math.max(1, ratio)
  if (apart < 2.5 * ratio) {
    ctx.fillRect(x(grid.low), bottom - 5 * ratio, x(grid.high) - x(grid.low), 5 * ratio)
    return
  }
  const top = apart > 6 * ratio ? bbox.top : bottom - 8 * ratio
  const begin = Math.max(0, Math.floor((u.posToVal(0, 'x') - grid.low) / grid.step))
  const end = Math.min((grid.high - grid.low) / grid.step, Math.ceil((u.posToVal(u.over.clientWidth, 'x') - grid.low) / grid.step))
  ctx.beginPath()
  for (let i = begin; i <= end; i++) {
    const at = Math.round(x(grid.low + i * grid.step)) + 0.5
    ctx.moveTo(at, top)
    ctx.lineTo(at, bottom)
  }
  ctx.stroke()
}
