// A text with a button that copies it.

import { h } from './dom'
import { t } from './words'

/** copyButton copies what text returns when it is pressed. */
export function copyButton(text: () => string, label = t('copy')): HTMLButtonElement {
  const b = h('button', { class: 'copy', onclick: () => { void copied(text()).then((ok) => { said(b, label, t(ok ? 'copied' : 'copyFailed')) }) } }, label)
  return b
}

function said(b: HTMLButtonElement, label: string, text: string): void {
  b.textContent = text
  setTimeout(() => { b.textContent = label }, 1500)
}

/** copied puts text on the clipboard; where the browser keeps that from files, by a selection. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const box = h('textarea', { class: 'offscreen', 'aria-hidden': 'true' })
    box.value = text
    document.body.append(box)
    box.select()
    const ok = document.execCommand('copy')
    box.remove()
    return ok
  }
}

/** rule shows a layer rule as it stands in a strategy file, with the button. */
export function ruleBox(rule: string): HTMLElement {
  return h('div', { class: 'copyable' }, h('code', {}, rule), copyButton(() => rule, t('copyRule')))
}

/** ruleIn finds the layer rule in a message, if it ends with one. */
export function ruleIn(text: string): { before: string; rule: string } | null {
  const at = text.indexOf('{')
  if (at < 0) return null
  try {
    const rule: unknown = JSON.parse(text.slice(at))
    if (typeof rule === 'object' && rule && 'layer_name' in rule) return { before: text.slice(0, at).trimEnd(), rule: text.slice(at) }
  } catch { /* braces of another kind */ }
  return null
}
