// Short forms of names that still tell them apart.

/** middle shortens a name to most characters, of which tail are its end. */
function middle(name: string, most: number, tail: number): string {
  return name.length <= most ? name : `${name.slice(0, most - 1 - tail)}…${name.slice(name.length - tail)}`
}

/**
 * shortNames cuts names to at most most characters, all in the same way: out of the middle, where the cut leaves the
 * largest number of different names; of equal cuts the one that is nearest to the middle.
 */
export function shortNames(names: string[], most: number): string[] {
  const half = Math.floor((most - 1) / 2)
  let best: string[] = [], apart = -1
  for (let d = 0; d <= half - 2; d++) {
    for (const tail of d === 0 ? [half] : [half + d, half - d]) {
      const cut = names.map((n) => middle(n, most, tail))
      const different = new Set(cut).size
      if (different > apart) { apart = different; best = cut }
    }
  }
  return best
}

/** calledBy returns what layers are called where room is scarce: the module's path, which repeats nothing, else the name. */
export function calledBy(layers: { name: string; module?: string }[]): string[] {
  const times = new Map<string, number>()
  for (const l of layers) if (l.module) times.set(l.module, (times.get(l.module) ?? 0) + 1)
  return layers.map((l) => (l.module && times.get(l.module) === 1 ? l.module : l.name))
}
