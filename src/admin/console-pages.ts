/** The console: one page and what belongs to it, as they lie beside this file. Nothing of it shows anything of this server by itself. */
import { readFileSync } from 'node:fs'
import { type AdminRoute, route } from './admin-route.ts'

const FILES = [
  { path: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/console.css', file: 'console.css', type: 'text/css; charset=utf-8' },
  { path: '/console.js', file: 'console.js', type: 'text/javascript; charset=utf-8' },
  { path: '/views.js', file: 'views.js', type: 'text/javascript; charset=utf-8' },
  { path: '/elements.js', file: 'elements.js', type: 'text/javascript; charset=utf-8' }
] as const

/** @throws Error where a file is missing: a console that is half there helps nobody */
export function consolePages(): readonly AdminRoute[] {
  return FILES.map(({ path, file, type }) => {
    const text = readFileSync(new URL(`./console/${file}`, import.meta.url), 'utf8')
    return route({ method: 'GET', path, who: 'anybody', isPage: true, handle: async () => ({ type, text }) })
  })
}
