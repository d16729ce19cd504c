// What the reader has chosen; everything else follows from the document.

import type { Doc, Err, Finding, Layer, Tensor } from './document'

export const orders = ['network', 'sqnr', 'fall', 'cosine', 'clipped', 'zeroed', 'cost', 'size', 'name', 'datatype'] as const
export type Order = (typeof orders)[number]

export class State {
  order: Order = 'network'
  filter = ''
  /** selected is a layer, -1 for none. */
  selected = -1
  /** tensor is the one of the selected layer that is shown. */
  tensor = -1
  logCounts = true
  /** view is how the layers are listed, zoom the step of the graph's. */
  view: 'table' | 'graph' = 'table'
  zoom = 3

  constructor(readonly doc: Doc) {
    this.select(this.worst())
  }

  get layers(): Layer[] { return this.doc.layers ?? [] }
  get tensors(): Tensor[] { return this.doc.tensors ?? [] }

  /** worst is the layer whose output suffers most, the first where nothing was measured. */
  worst(): number {
    let at = -1
    this.layers.forEach((l, i) => {
      if (l.error && (at < 0 || rank(l.error, l.error.sqnr_db) < rank(this.layers[at]!.error!, this.layers[at]!.error!.sqnr_db))) at = i
    })
    return at < 0 && this.layers.length > 0 ? 0 : at
  }

  select(layer: number): void {
    this.selected = layer
    const own = this.layers[layer]?.tensors ?? []
    // What leaves the layer tells most; a layer may have constants only.
    const result = this.layers[layer]?.result ?? -1
    this.tensor = own.find((i) => this.tensors[i]!.kind === 'activation') ?? (result >= 0 ? result : own[0] ?? -1)
  }

  /** of are the tensors to show with a layer: its own, and what stores its result, where that is another layer's. */
  of(layer: number): number[] {
    const l = this.layers[layer]
    if (!l) return []
    return l.result >= 0 && !l.tensors.includes(l.result) ? [...l.tensors, l.result] : l.tensors
  }

  /** worstFirst are the layers with an error, the worst SQNR first. */
  worstFirst(): number[] {
    const value = (i: number) => { const e = this.layers[i]!.error!; return rank(e, e.sqnr_db) }
    return this.layers.map((_, i) => i).filter((i) => this.layers[i]!.error && !this.layers[i]!.error!.exact).sort((a, b) => value(a) - value(b) || a - b)
  }

  /**
   * highest is the SQNR up to which bars go. Few layers that are much higher than all others, such as images in 8 bits, are cut:
   * the others would vanish.
   */
  highest(): { top: number; capped: boolean } {
    const all = this.layers.map((l) => l.error?.sqnr_db).filter((v) => v != null).sort((a, b) => a - b)
    const most = all[all.length - 1] ?? 0, usual = all[Math.floor(0.9 * (all.length - 1))] ?? 0
    const capped = most > 2.5 * usual && usual > 10
    return { top: Math.max(1, capped ? 1.3 * usual : 1.05 * most), capped }
  }

  /** fall is by how many dB a layer's SQNR is below the lowest of those it reads; null where either is unknown. */
  fall(layer: number): number | null {
    const l = this.layers[layer]!
    if (!l.error || l.error.sqnr_db === null) return null
    const from = (l.inputs ?? []).map((i) => this.layers[i]!.error?.sqnr_db).filter((v) => v != null)
    return from.length === 0 ? null : Math.min(...from) - l.error.sqnr_db
  }

  /** findings are the warnings that name a layer. */
  findings(layer: number): Finding[] {
    return (this.doc.findings ?? []).filter((f) => f.layers?.includes(layer))
  }

  /** shown are the layers that the filter lets through, in order. */
  shown(): number[] {
    const want = this.filter.trim().toLowerCase()
    const all = this.layers.map((_, i) => i).filter((i) => {
      const l = this.layers[i]!
      return want === '' || `${l.name} ${l.op} ${l.module ?? ''} ${stored(l)}`.toLowerCase().includes(want)
    })
    const key = this.key()
    if (key === null) return all
    const keys = new Map(all.map((i) => [i, key(i)]))
    return all.sort((a, b) => {
      const x = keys.get(a)!, y = keys.get(b)!
      return x < y ? -1 : x > y ? 1 : a - b
    })
  }

  private key(): ((i: number) => number | string) | null {
    const layers = this.layers
    switch (this.order) {
      case 'network': return null
      // Layers without error come last, those that were not measured behind them.
      case 'sqnr': return (i) => { const e = layers[i]!.error; return e ? rank(e, e.sqnr_db) : 2e9 }
      case 'fall': return (i) => -(this.fall(i) ?? -1e9)
      case 'cost': return (i) => -(layers[i]!.bit_share ?? 0)
      case 'size': return (i) => -(layers[i]!.bytes ?? 0)
      case 'cosine': return (i) => { const e = layers[i]!.error; return e ? rank(e, e.cosine) : 2e9 }
      case 'clipped': return (i) => -this.most(i, 'clipped')
      case 'zeroed': return (i) => -this.most(i, 'zeroed')
      case 'name': return (i) => layers[i]!.name
      case 'datatype': return (i) => stored(layers[i]!)
    }
  }

  /** most is the largest share over the tensors of a layer, -1 where nothing was measured. */
  most(layer: number, what: 'clipped' | 'zeroed'): number {
    return Math.max(-1, ...this.layers[layer]!.tensors.map((i) => this.tensors[i]!.seen?.[what] ?? -1))
  }
}

/** rank orders errors, the worst first: no signal at all, then numbers, then none. */
function rank(e: Err, value: number | null): number {
  return e.exact ? 1e9 : value ?? -1e9
}

/** stored says what a layer's weights and result are stored as. */
export function stored(l: Layer): string {
  return l.weights && l.weights !== l.activation ? `${l.weights} / ${l.activation}` : l.activation
}
