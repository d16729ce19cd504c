// Accuracy against cost: a point for every strategy, which opens it.

import uPlot from 'uplot'
import { axisStyle } from './bars'
import { h, variable } from './dom'
import type { Chart } from './histogram'
import { t } from './words'

export interface Mark {
  key: number
  x: number
  y: number
  /** kind is a class of the style sheet. */
  kind: string
  /** whole says that the figure is final: only such points make the curve. */
  whole: boolean
  title: string
  lines: string[]
  /** name stands beside the point; '' for none. */
  name: string
}

export interface Axis {
  label: string
  text(v: number): string
  /** doubling gives every doubling the same room. */
  doubling?: boolean
}

export interface Tradeoff extends Chart {
  /** mark shows which point is chosen. */
  mark(key: number): void
}

interface Options {
  marks: Mark[]
  x: Axis
  y: Axis
  lowerIsBetter: boolean
  /** lines are values to compare with, such as the float network's. */
  lines: { at: number; name: string; kind: 'float' | 'limit' }[]
  chosen: number
  choose(key: number): void
}

/** front returns the marks that no other beats in both, cheapest first. */
export function front(marks: Mark[], lowerIsBetter: boolean): Mark[] {
  const value = (m: Mark) => (lowerIsBetter ? -m.y : m.y)
  const out: Mark[] = []
  for (const m of marks.filter((e) => e.whole).sort((a, b) => a.x - b.x || value(b) - value(a))) {
    if (out.length === 0 || value(m) > value(out[out.length - 1]!)) out.push(m)
  }
  return out
}

/**
 * extent is the range of values to show. Of many, what is far worse than the others would flatten them, and stands at the edge: far is
 * three times what the lines are apart, or what separates the middle from the best.
 */
function extent(values: number[], lines: number[], lowerIsBetter: boolean): [number, number] {
  const sign = lowerIsBetter ? -1 : 1
  const s = values.map((v) => v * sign).sort((a, b) => a - b), also = lines.map((v) => v * sign)
  const best = Math.max(...s, ...also), middle = s[Math.floor(s.length / 2)] ?? best
  const apart = also.length > 1 ? Math.max(...also) - Math.min(...also) : 0
  const far = 3 * (apart || best - middle || Math.abs(best) * 0.02 || 1)
  const worst = Math.min(s[0] ?? best, ...also)
  const low = s.length > 12 ? Math.max(worst, Math.min(middle, ...also) - far) : worst
  const room = 0.1 * (best - low || Math.abs(best) || 1)
  const [a, b] = [(low - room) * sign, (best + room) * sign]
  return lowerIsBetter ? [b, a] : [a, b]
}

export function tradeoff(o: Options): Tradeoff {
  const height = 400
  const box = h('div', { class: 'chart tradeoff', role: 'group', 'aria-label': t('tradeoffLabel', { y: o.y.label, x: o.x.label, n: o.marks.length }) })
  const tip = h('div', { class: 'tip', 'aria-hidden': 'true' })
  tip.hidden = true
  const [low, high] = extent(o.marks.map((m) => m.y), o.lines.map((l) => l.at), o.lowerIsBetter)
  const across = (x: number) => (o.x.doubling ? Math.log2(x) : x)
  const xs = o.marks.map((m) => across(m.x)).sort((a, b) => a - b)
  const first = xs[0] ?? 0, end = xs[xs.length - 1] ?? 1
  const range: [number, number] = o.x.doubling ? [Math.min(first, end - 1) - 0.25, end + 0.25] : [0, end * 1.08 || 1]
  const inside = (y: number) => Math.min(high, Math.max(low, y))
  const curve = front(o.marks, o.lowerIsBetter)

  const plot = new uPlot({
    width: 600,
    height,
    padding: [10, 14, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: () => range }, y: { range: () => [low, high] } },
    axes: [
      { ...axisStyle(), size: 32, space: 60, label: o.x.label, labelSize: 20, values: (_, v) => v.map((e) => o.x.text(o.x.doubling ? 2 ** e : e)), ...(o.x.doubling ? { incrs: end - first < 1.5 ? [0.5, 1] : [1, 2, 4] } : {}) },
      { ...axisStyle(), size: 76, space: 32, label: o.y.label, labelSize: 18, values: (_, v) => v.map(o.y.text) },
    ],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => {
        draw(u, o.lines, curve.map((m) => ({ x: across(m.x), y: m.y })))
        for (const m of o.marks) place(u, m)
        name(u)
      }],
    },
  }, [xs, xs.map(() => low)], box)
  plot.over.append(tip)

  const buttons = new Map<number, HTMLElement>()
  const labels = new Map<number, HTMLElement>()
  for (const m of o.marks) {
    const show = () => {
      tip.hidden = false
      tip.replaceChildren(h('b', {}, m.title), ...m.lines.map((l) => h('span', {}, l)))
      const x = plot.valToPos(across(m.x), 'x'), y = plot.valToPos(inside(m.y), 'y')
      tip.style.left = `${Math.max(0, Math.min(plot.over.clientWidth - tip.offsetWidth, x - tip.offsetWidth / 2))}px`
      tip.style.top = y > tip.offsetHeight + 14 ? `${y - tip.offsetHeight - 12}px` : `${y + 12}px`
    }
    const hide = () => { tip.hidden = true }
    const b = h('button', {
      class: `point ${m.kind}`, 'data-point': m.key, 'aria-label': [m.title, ...m.lines].join(', '), 'aria-pressed': String(m.key === o.chosen),
      onclick: () => o.choose(m.key), onmouseenter: show, onfocus: show, onmouseleave: hide, onblur: hide,
    })
    buttons.set(m.key, b)
    plot.over.append(b)
    if (m.name) {
      const label = h('span', { class: 'point-name', 'aria-hidden': 'true' }, m.name)
      labels.set(m.key, label)
      plot.over.append(label)
    }
  }

  function place(u: uPlot, m: Mark): void {
    const b = buttons.get(m.key)
    if (!b) return
    const x = u.valToPos(across(m.x), 'x'), y = u.valToPos(inside(m.y), 'y')
    b.style.left = `${x}px`
    b.style.top = `${y}px`
    b.classList.toggle('outside', m.y !== inside(m.y))
  }

  /** name puts each name beside its point, where no other stands; where there is no room it is left to the tip. */
  function name(u: uPlot): void {
    const taken: { x: number; y: number; w: number }[] = []
    const high = 18, away = 12
    // The names of the lines stand at the right edge: see draw.
    for (const l of o.lines) taken.push({ x: u.over.clientWidth - 7 * l.name.length, y: u.valToPos(l.at, 'y') + (l.kind === 'limit' ? 2 : -high), w: 7 * l.name.length })
    for (const m of o.marks) {
      const label = labels.get(m.key)
      if (!label) continue
      const x = u.valToPos(across(m.x), 'x'), y = u.valToPos(inside(m.y), 'y'), w = label.offsetWidth
      const right = x + away, left = x - away - w
      const at = [[right, y - high], [right, y + 2], [left, y - high], [left, y + 2]].find(([a, b]) =>
        a! >= 0 && a! + w <= u.over.clientWidth && b! >= 0 && taken.every((e) => a! + w < e.x || a! > e.x + e.w || Math.abs(b! - e.y) >= high))
      label.style.visibility = at ? 'visible' : 'hidden'
      if (!at) continue
      taken.push({ x: at[0]!, y: at[1]!, w })
      label.style.left = `${at[0]}px`
      label.style.top = `${at[1]}px`
    }
  }

  return {
    element: box,
    mark(key) { for (const [k, b] of buttons) b.setAttribute('aria-pressed', String(k === key)) },
    repaint: () => plot.redraw(false),
    resize: () => plot.setSize({ width: Math.max(200, box.clientWidth), height }),
    destroy: () => plot.destroy(),
  }
}

/** draw draws the values to compare with, and the curve: no strategy that was tried is better and cheaper than one on it. */
function draw(u: uPlot, lines: Options['lines'], curve: { x: number; y: number }[]): void {
  const { ctx, bbox } = u
  const ratio = devicePixelRatio
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  ctx.font = `${12 * ratio}px system-ui, sans-serif`
  ctx.textAlign = 'right'
  for (const l of lines) {
    const y = Math.round(u.valToPos(l.at, 'y', true)) + 0.5
    ctx.strokeStyle = ctx.fillStyle = variable(l.kind === 'limit' ? '--bad' : '--muted')
    ctx.lineWidth = 1.5 * ratio
    ctx.setLineDash(l.kind === 'limit' ? [6 * ratio, 4 * ratio] : [])
    ctx.beginPath()
    ctx.moveTo(bbox.left, y)
    ctx.lineTo(bbox.left + bbox.width, y)
    ctx.stroke()
    ctx.textBaseline = l.kind === 'limit' ? 'top' : 'bottom'
    ctx.fillText(l.name, bbox.left + bbox.width - 6 * ratio, y + (l.kind === 'limit' ? 4 : -4) * ratio)
  }
  ctx.setLineDash([])
  ctx.strokeStyle = variable('--accent')
  ctx.lineWidth = 1.5 * ratio
  ctx.beginPath()
  curve.forEach((m, i) => {
    const x = u.valToPos(m.x, 'x', true), y = u.valToPos(m.y, 'y', true)
    if (i > 0) ctx.lineTo(x, u.valToPos(curve[i - 1]!.y, 'y', true))
    ctx.lineTo(x, y)
  })
  ctx.stroke()
  ctx.restore()
}
