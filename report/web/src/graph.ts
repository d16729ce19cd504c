// The network as a graph to walk through: a box for each layer, below those that it reads.

import { layout as dagre, Graph } from '@dagrejs/dagre'
import { colourClass, layerDatatype } from './datatypes'
import type { Layer } from './document'
import { h } from './dom'
import { decibel, whole } from './format'
import { calledBy, shortNames } from './names'
import { stored, type State } from './state'
import { t } from './words'

export interface GraphView {
  element: HTMLElement
  redraw(): void
  /** reveal brings the chosen layer into sight. */
  reveal(): void
}

export interface Box { x: number; y: number }
export interface Placed {
  /** boxes are the middles of the layers' boxes. */
  boxes: Box[]
  edges: { from: number; to: number; points: Box[] }[]
  width: number
  height: number
}

const boxWidth = 190, boxHeight = 42

/**
 * place lays the layers out. Where a single layer separates all before it from all behind it, the two parts are laid out on
 * their own: most networks are chains of small parts, and the time grows with the parts, not with the network.
 */
export function place(layers: Layer[]): Placed {
  const n = layers.length
  const edges = layers.flatMap((l, to) => (l.inputs ?? []).map((from) => ({ from, to })))
  // over[i] counts the edges that pass by layer i.
  const over = new Array<number>(n + 1).fill(0)
  for (const { from, to } of edges) {
    // A layer of several nodes may read what stands behind its first one.
    const first = Math.min(from, to), last = Math.max(from, to)
    if (last - first > 1) { over[first + 1]!++; over[last]!-- }
  }
  const cuts: number[] = []
  for (let i = 0, passing = 0; i < n; i++) {
    passing += over[i]!
    if (passing === 0) cuts.push(i)
  }
  const ends = [...new Set([0, ...cuts, n - 1])].filter((i) => i >= 0)
  const out: Placed = { boxes: new Array<Box>(n), edges: [], width: 0, height: 0 }
  if (n === 1) ends.push(0)
  for (let k = 0; k + 1 < ends.length; k++) part(ends[k]!, ends[k + 1]!)
  function part(first: number, last: number): void {
    const g = new Graph()
    g.setGraph({ rankdir: 'TB', nodesep: 24, ranksep: 34, edgesep: 14 })
    g.setDefaultEdgeLabel(() => ({}))
    for (let i = first; i <= last; i++) g.setNode(String(i), { width: boxWidth, height: boxHeight })
    for (const e of edges) if (Math.min(e.from, e.to) >= first && Math.max(e.from, e.to) <= last) g.setEdge(String(e.from), String(e.to))
    dagre(g)
    const at = (i: number) => g.node(String(i)) as Box
    const known = out.boxes[first]
    const dx = known ? known.x - at(first).x : 0, dy = known ? known.y - at(first).y : 0
    // A second beginning, such as another input, must not stand in the part above.
    let highest = Infinity
    for (let i = first + 1; i <= last; i++) highest = Math.min(highest, at(i).y)
    const down = known ? Math.max(0, at(first).y + boxHeight + 34 - highest) : 0
    for (let i = first; i <= last; i++) if (!out.boxes[i]) out.boxes[i] = { x: at(i).x + dx, y: at(i).y + dy + (i === first ? 0 : down) }
    for (const e of g.edges()) {
      const points = (g.edge(e) as { points: Box[] }).points.map((p, k) => ({ x: p.x + dx, y: p.y + dy + (k === 0 && Number(e.v) === first ? 0 : down) }))
      out.edges.push({ from: Number(e.v), to: Number(e.w), points })
    }
  }
  const all = [...out.boxes, ...out.edges.flatMap((e) => e.points)]
  const left = Math.min(...out.boxes.map((b) => b.x)) - boxWidth / 2 - 16, top = Math.min(...out.boxes.map((b) => b.y)) - boxHeight / 2 - 12
  for (const p of all) { p.x -= left; p.y -= top }
  out.width = Math.max(...out.boxes.map((b) => b.x)) + boxWidth / 2 + 16
  out.height = Math.max(...out.boxes.map((b) => b.y)) + boxHeight / 2 + 12
  return out
}

const zooms = [0.3, 0.45, 0.65, 1, 1.35]

export function graph(state: State, choose: (layer: number) => void): GraphView {
  const placed = place(state.layers)
  const names = shortNames(calledBy(state.layers), 22)
  const outputs = state.layers.map(() => [] as number[])
  state.layers.forEach((l, i) => { for (const from of l.inputs ?? []) outputs[from]!.push(i) })
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('aria-hidden', 'true')
  const boxes = h('div', { class: 'boxes' })
  const inner = h('div', { class: 'graph-inner' })
  inner.append(svg, boxes)
  const body = h('div', { class: 'graph-scroll', tabindex: 0, role: 'group', 'aria-label': t('graphLabel', { n: whole(state.layers.length) }) }, inner)
  const zoomBy = (d: number) => { state.zoom = Math.max(0, Math.min(zooms.length - 1, state.zoom + d)); size(); reveal() }
  const element = h('div', { class: 'graph' },
    h('div', { class: 'tools' }, h('button', { id: 'zoom-out', 'aria-label': t('zoomOut'), onclick: () => zoomBy(-1) }, '−'), h('button', { id: 'zoom-in', 'aria-label': t('zoomIn'), onclick: () => zoomBy(1) }, '+'),
      h('span', { class: 'muted hint' }, t('graphHint'))), body)
  const zoom = () => zooms[state.zoom]!

  function size(): void {
    inner.style.width = `${placed.width * zoom()}px`
    inner.style.height = `${placed.height * zoom()}px`
    inner.style.fontSize = `${12.5 * zoom()}px`
    inner.classList.toggle('small', zoom() < 0.6)
    draw()
  }

  /** draw makes what is in sight. */
  function draw(): void {
    const z = zoom()
    const room = 200 / z
    const x0 = body.scrollLeft / z - room, x1 = (body.scrollLeft + (body.clientWidth || 600)) / z + room
    const y0 = body.scrollTop / z - room, y1 = (body.scrollTop + (body.clientHeight || 600)) / z + room
    svg.setAttribute('width', String(placed.width * z))
    svg.setAttribute('height', String(placed.height * z))
    svg.setAttribute('viewBox', `0 0 ${placed.width} ${placed.height}`)
    const paths: SVGPathElement[] = []
    for (const e of placed.edges) {
      const ys = e.points.map((p) => p.y), xs = e.points.map((p) => p.x)
      if (Math.max(...ys) < y0 || Math.min(...ys) > y1 || Math.max(...xs) < x0 || Math.min(...xs) > x1) continue
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      path.setAttribute('d', e.points.map((p, i) => `${i === 0 ? 'M' : 'L'}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join(''))
      if (e.from === state.selected || e.to === state.selected) path.setAttribute('class', 'near')
      paths.push(path)
    }
    svg.replaceChildren(...paths)
    const made: HTMLElement[] = []
    placed.boxes.forEach((b, i) => {
      if (b.x + boxWidth / 2 < x0 || b.x - boxWidth / 2 > x1 || b.y + boxHeight < y0 || b.y - boxHeight > y1) return
      const l = state.layers[i]!
      const e = h('button', {
        class: `box ${colourClass(layerDatatype(l))}-edge`, tabindex: -1, title: `${l.name}\n${l.op}`, 'data-box': i, 'aria-pressed': String(i === state.selected),
        onclick: () => choose(i),
      }, h('b', {}, names[i]!), h('span', {}, `${l.op} · ${stored(l)}${l.error ? ` · ${decibel(l.error)}` : ''}`))
      e.style.left = `${(b.x - boxWidth / 2) * z}px`
      e.style.top = `${(b.y - boxHeight / 2) * z}px`
      e.style.width = `${boxWidth * z}px`
      e.style.height = `${boxHeight * z}px`
      made.push(e)
    })
    boxes.replaceChildren(...made)
  }

  function reveal(): void {
    const b = placed.boxes[state.selected]
    if (!b) return
    const z = zoom()
    const x = b.x * z, y = b.y * z
    if (x - boxWidth * z / 2 < body.scrollLeft || x + boxWidth * z / 2 > body.scrollLeft + body.clientWidth) body.scrollLeft = x - body.clientWidth / 2
    if (y - boxHeight * z < body.scrollTop || y + boxHeight * z > body.scrollTop + body.clientHeight) body.scrollTop = y - body.clientHeight / 2
    draw()
  }

  /** beside returns the nearest box to the left or to the right, about as high. */
  function beside(i: number, side: 1 | -1): number | undefined {
    const b = placed.boxes[i]!
    return placed.boxes.map((_, k) => k).filter((k) => Math.abs(placed.boxes[k]!.y - b.y) < boxHeight && (placed.boxes[k]!.x - b.x) * side > 1)
      .sort((p, q) => (placed.boxes[p]!.x - placed.boxes[q]!.x) * side)[0]
  }

  let waiting = false
  body.addEventListener('scroll', () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; draw() })
  })
  body.addEventListener('keydown', (e) => {
    const i = state.selected
    if (i < 0) return
    const to = { ArrowDown: outputs[i]![0], ArrowUp: state.layers[i]!.inputs?.[0], ArrowRight: beside(i, 1), ArrowLeft: beside(i, -1), Home: 0, End: state.layers.length - 1 }[e.key]
    if (!['ArrowDown', 'ArrowUp', 'ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(e.key)) return
    e.preventDefault()
    if (to === undefined) return
    choose(to)
    body.focus({ preventScroll: true })
  })
  size()
  return { element, redraw: draw, reveal }
}
