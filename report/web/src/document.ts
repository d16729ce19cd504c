// The document that the page shows: document.go says what the fields mean.

export interface Doc {
  format: string
  model: { name: string; path: string; sha256: string }
  result: TestResult | null
  measured: { samples: number; reference: string } | null
  cost?: Cost
  layers: Layer[] | null
  tensors: Tensor[] | null
  float_tensors: { name: string; kind: Kind; layer: number; why: Text }[] | null
  settings: Setting[][] | null
  strategy: Strategy | null
  rewrites: { rule: string; node: string; note: Text }[] | null
  findings: Finding[] | null
  reproduce: { commands: string[][] | null; shortened?: boolean; facts: { name: string; value: string }[] } | null
  compare: Compare | null
  search?: Search
}

export type Unit = '%' | 'dB' | ''

/** Text is the same in both languages, or English and Chinese. */
export type Text = string | [string, string]

export type Kind = 'input' | 'weights' | 'bias' | 'activation'

export interface Accuracy { top1: number; top5: number }

export interface TestResult {
  samples: number
  float: Accuracy | null
  quantized: Accuracy | null
  agreement: number | null
  sqnr_db: number | null
  /** worst is the output that sqnr_db is of, and outputs are all, where there are several. */
  worst?: string
  exact?: boolean
  invalid?: number
  outputs?: Output[]
  metric?: Metric
}

/** Metric is what the user's metric tells. */
export interface Metric {
  name: string
  unit: Unit
  lower_is_better?: boolean
  float?: number
  quantized: number | null
  drop?: number
}

export interface Output {
  name: string
  shape: number[] | null
  sqnr_db: number | null
  exact?: boolean
  cosine: number | null
  max_error: number | null
  equal?: number
  agreement: number | null
}

export interface Cost {
  bytes: number
  float_bytes: number
  macs: number
  pairs: { bits: string; count: number }[]
  relative: number
  uncounted?: string[]
  files?: { name: string; bytes: number }[]
}

/** Numbers are null where they are not finite: sqnr_db too where nothing differs. */
export interface Err { sqnr_db: number | null; exact?: boolean; cosine: number | null; mse: number | null; max_diff: number | null }

export interface Layer {
  name: string
  op: string
  module?: string
  group?: string[]
  weights?: string
  activation: string
  rule: number
  error: Err | null
  tensors: number[]
  /** result is the tensor that stores the layer's result, maybe another layer's; -1 for none. */
  result: number
  inputs?: number[]
  spare?: string
  macs?: number
  bit_share?: number
  bytes?: number
  float_bytes?: number
  xmodel?: { operators?: string[]; refused?: Text[]; notes?: Text[] }
}

export interface Tensor {
  name: string
  kind: Kind
  layer: number
  datatype: string
  settings: number
  where: Text
  aligned?: Text
  axis: number
  scales: number
  scale: [number, number]
  zero_point: [number, number]
  min: number
  max: number
  seen: Seen | null
}

export interface Seen {
  elements: number
  invalid?: number
  min: number
  max: number
  clipped: number
  zeroed: number
  own: Err
  accumulated: Err | null
  histogram: { low: number; width: number; counts: string } | null
  channels?: { count: number; per: number; min: string; max: string; low?: string; high?: string }
}

export interface Setting {
  key: string
  value: string
  line?: number
  reason: Text
  overridden?: { value: string; line?: number; reason: Text }[]
}

export interface Strategy {
  file: string
  source: string
  restored?: boolean
  sha256: string
  target: string
  rules: Rule[]
}

export interface Rule { text: Text; first: number; last: number; kinds: Kind[]; layers: number[]; lost?: number[] }

export interface Finding {
  severity: 'error' | 'warning' | 'note'
  code?: string
  file?: string
  line?: number
  message: Text
  fix?: Text
  layers?: number[]
}

export interface Compare {
  samples: number
  float: Accuracy | null
  float_bytes?: number
  rows: CompareRow[] | null
  notes?: Text[]
}

export interface CompareRow {
  name: string
  words: Text[] | null
  error?: Text
  quantized: Accuracy | null
  agreement: number | null
  sqnr_db: number | null
  exact?: boolean
  bytes?: number
  macs?: { bits: string; count: number }[]
  cost: number | null
  seconds?: number
  metric?: Metric
  source?: string
}

export interface Search {
  objective: { name: string; unit: Unit; lower_is_better?: boolean; float?: number; limit?: number }
  searched: number
  held_out: number
  held_out_drop?: number
  complete?: boolean
  file?: string
  /** best is the trial that was found, -1 for none. */
  best: number
  trials: Trial[] | null
  pieces: string[] | null
  strategies: number[][] | null
}

export interface Trial {
  number: number
  phase: string
  words: Text
  cost: number
  value: number | null
  drop?: number
  std_err?: number
  samples?: number
  state: 'found' | 'within' | 'beyond' | 'stopped' | 'failed' | 'ranked'
  failed?: Text
  /** strategy is an index into Search.strategies, -1 where it is not known. */
  strategy: number
}

/** readDocument returns what the page's data element holds. */
export function readDocument(): Doc {
  return JSON.parse(document.getElementById('document')!.textContent!) as Doc
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}

/** floats reads base64 of little-endian float32. */
export function floats(text: string | undefined): number[] {
  if (!text) return []
  const view = new DataView(bytes(text).buffer)
  return Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true))
}

/** counts reads base64 of varints. */
export function counts(text: string): number[] {
  const out: number[] = []
  let value = 0, unit = 1
  for (const b of bytes(text)) {
    value += (b & 127) * unit // no shifts: they end at 32 bits
    unit *= 128
    if (b < 128) {
      out.push(value)
      value = 0
      unit = 1
    }
  }
  return out
}
