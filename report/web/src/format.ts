// Numbers as people read them.

import { t } from './words'
import type { Err } from './document'

export function percent(x: number, digits = 2): string {
  return `${(100 * x).toFixed(digits)} %`
}

/** share is a percentage that does not call a little nothing. */
export function share(x: number): string {
  if (x === 0) return '0 %'
  if (x < 0.0001) return '< 0.01 %'
  return percent(x)
}

/** decibel writes an SQNR: one that is no number is that of no difference, or of no signal. */
export function decibel(e: { sqnr_db: number | null; exact?: boolean }): string {
  return e.exact ? t('exact') : e.sqnr_db === null ? t('undefined') : `${e.sqnr_db.toFixed(1)} dB`
}

export function cosine(e: Err): string {
  if (e.exact) return '1'
  if (e.cosine === null) return t('undefined')
  return e.cosine.toFixed(Math.min(8, Math.max(4, Math.ceil(cosineHeight(e)) + 1)))
}

/** sqnrHeight is a bar's height: that of exact values, which have none, is given. */
export function sqnrHeight(e: Err, exact: number): number {
  return e.exact ? exact : e.sqnr_db ?? 0
}

/** cosineHeight is how many nines a cosine has: 0.9 is 1, 0.99 is 2. */
export function cosineHeight(e: Err): number {
  if (e.exact) return cosineTop
  return Math.min(cosineTop, Math.max(0, -Math.log10(Math.max(1 - (e.cosine ?? 0), 1e-12))))
}

/** cosineTop is where bars end: float32 tells no more. */
export const cosineTop = 8

/** number writes a measured number with four digits. */
export function number(x: number | null): string {
  if (x === null) return t('undefined')
  if (x === 0) return '0'
  const a = Math.abs(x)
  if (a >= 1e5 || a < 1e-4) return x.toExponential(2).replace('e+', 'e')
  return a >= 1000 ? signed(Math.round(x)) : String(Number(x.toPrecision(4)))
}

/** whole writes a count, with commas between thousands: in both languages, as in the documents. */
export function whole(x: number): string {
  return String(x).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** grouped puts commas between the thousands of the counts in a message, not of numbers in names. */
export function grouped(text: string): string {
  return text.replace(/(?<![\w./:"'-])\d{4,}(?![\w./:"'-])/g, (digits) => (digits.startsWith('0') ? digits : whole(Number(digits))))
}

/** signed writes an integer of either sign: whole writes counts. */
export function signed(x: number): string {
  return x < 0 ? `-${whole(-x)}` : whole(x)
}

export function bytes(x: number): string {
  if (x < 1000) return `${x} B`
  if (x < 1e6) return `${(x / 1e3).toFixed(1)} kB`
  return `${(x / 1e6).toFixed(1)} MB`
}

/** big writes a large count: 1.82 G. */
export function big(x: number): string {
  if (x >= 1e9) return `${(x / 1e9).toFixed(2)} G`
  if (x >= 1e6) return `${(x / 1e6).toFixed(2)} M`
  return x >= 1e3 ? `${(x / 1e3).toFixed(1)} k` : String(x)
}
