// One colour per datatype, from Okabe and Ito's palette, which people with any
// colour vision tell apart; the names stand beside the colours everywhere.

import type { Layer } from './document'
import { variable } from './dom'

/** colourClass returns the class of a datatype, which the style sheet colours. */
export function colourClass(datatype: string): string {
  const bits = /^u?int(\d+)$/.exec(datatype)
  if (bits) {
    const n = Number(bits[1])
    return n <= 4 ? 'int4' : n <= 8 ? 'int8' : n <= 16 ? 'int16' : 'int32'
  }
  return ['bfloat16', 'float16', 'float32'].includes(datatype) ? datatype : 'float32'
}

/** colour returns it for a canvas. */
export function colour(datatype: string): string {
  return variable(`--${colourClass(datatype)}`)
}

/** layerDatatype is what colours a layer: its weights' datatype, else its result's. */
export function layerDatatype(l: Layer): string {
  return l.weights || l.activation
}
