// Elements are made here only. Text goes in as text: nothing of the document is
// ever read as markup.

type Child = Node | string | null | undefined | false

interface Attributes {
  [name: string]: string | number | boolean | undefined | ((e: never) => void)
}

/** h makes an element: attributes, on… listeners, and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') e.addEventListener(name.slice(2), value as EventListener)
    else if (value === true) e.setAttribute(name, '')
    else if (value !== undefined && value !== false) e.setAttribute(name, String(value))
  }
  for (const c of children) if (c || c === '') e.append(c)
  return e
}

/** variable reads a CSS variable, so that canvases follow the theme. */
export function variable(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}
