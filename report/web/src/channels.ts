// The ranges of a weight's output channels.

import uPlot from 'uplot'
import { axisStyle } from './bars'
import { colour } from './datatypes'
import { floats, type Tensor } from './document'
import { h, variable } from './dom'
import { number, whole } from './format'
import { clipping, type Chart } from './histogram'
import { t } from './words'

export function channels(x: Tensor): Chart | null {
  const c = x.seen?.channels
  if (!c) return null
  const min = floats(c.min), max = floats(c.max)
  const lows = floats(c.low), highs = floats(c.high)
  const clip = lows.map((v, i) => clipping(x, v, highs[i]!))
  const all = clip.length === 1 ? min.map(() => clip[0]!) : clip
  const low = all.map((e) => e.low), high = all.map((e) => e.high)
  const height = 180
  const box = h('div', { class: 'chart', role: 'img', 'aria-label': t('channelsLabel', { n: whole(c.count) }) })
  const at = min.map((_, i) => i)
  const widest = Math.max(...max.map(Math.abs), ...min.map(Math.abs), 1e-12)

  const plot = new uPlot({
    width: 400,
    height,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
    scales: {
      x: { time: false, range: (_, a, b) => [a === null ? -0.5 : Math.floor(a) - 0.5, b === null ? 0.5 : Math.ceil(b) + 0.5] },
      // Thresholds far outside would flatten the bars.
      y: { range: () => [Math.max(Math.min(0, ...min, ...low), -2 * widest) * 1.05, Math.min(Math.max(0, ...max, ...high), 2 * widest) * 1.05] },
    },
    axes: [
      { ...axisStyle(), size: 30, space: 50, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], values: (_, v) => v.map((i) => (Number.isInteger(i) ? whole(i * c.per) : '')) },
      { ...axisStyle(), size: 58, space: 28, values: (_, v) => v.map(number) },
    ],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => {
        const { ctx, bbox } = u
        const left = (i: number) => u.valToPos(i - 0.5, 'x', true)
        const y = (v: number) => u.valToPos(v, 'y', true)
        ctx.save()
        ctx.beginPath()
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
        ctx.clip()
        ctx.fillStyle = colour(x.datatype)
        const step = left(1) - left(0)
        const gap = step > 3 ? step * 0.15 : 0
        for (const i of at) ctx.fillRect(left(i) + gap, y(max[i]!), Math.max(1, step - 2 * gap), Math.max(devicePixelRatio, y(min[i]!) - y(max[i]!)))
        ctx.strokeStyle = variable('--clip')
        ctx.lineWidth = 1.5 * devicePixelRatio
        for (const line of [low, high]) {
          ctx.beginPath()
          line.forEach((v, i) => {
            ctx.lineTo(left(i), y(v))
            ctx.lineTo(left(i + 1), y(v))
          })
          ctx.stroke()
        }
        ctx.restore()
      }],
    },
  }, [at, max], box)

  return {
    element: box,
    repaint: () => plot.redraw(false),
    resize: () => plot.setSize({ width: Math.max(200, box.clientWidth), height }),
    destroy: () => plot.destroy(),
  }
}
