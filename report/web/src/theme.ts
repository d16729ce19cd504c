// Light and dark: as the system says, until the reader says otherwise.

const system = matchMedia('(prefers-color-scheme: dark)')
const listeners: (() => void)[] = []

export function isDark(): boolean {
  const own = document.documentElement.dataset.theme
  return own ? own === 'dark' : system.matches
}

export function toggleTheme(): void {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark'
  for (const l of listeners) l()
}

export function onThemeChange(l: () => void): void {
  listeners.push(l)
}

system.addEventListener('change', () => { for (const l of listeners) l() })
