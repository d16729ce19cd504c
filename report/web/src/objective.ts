// Figures by which strategies are compared, written with their units.

import type { Unit } from './document'
import { number, percent } from './format'

/** figure writes shares in percent, ratios in dB, others as they are. */
export function figure(x: number | null | undefined, unit: Unit): string {
  if (x == null) return '–'
  return unit === '%' ? percent(x) : unit === 'dB' ? `${x.toFixed(1)} dB` : number(x)
}

/** tick is figure for an axis, where neighbours stand close. */
export function tick(x: number, unit: Unit): string {
  if (unit === '%') return `${Number((100 * x).toFixed(3))} %`
  return unit === 'dB' ? String(Number(x.toFixed(2))) : String(Number(x.toPrecision(4)))
}
