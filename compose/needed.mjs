// Takes out of package.json the development packages that an image does not need: all but those that are named here. What stays is installed
// as the lock file says.
import { readFileSync, writeFileSync } from 'node:fs'

const needed = process.argv.slice(2)
const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const missing = needed.filter((name) => manifest.devDependencies[name] === undefined)
if (missing.length > 0) throw new Error(`package.json has no development package ${missing.join(', ')}`)
manifest.devDependencies = Object.fromEntries(needed.map((name) => [name, manifest.devDependencies[name]]))
writeFileSync('package.json', JSON.stringify(manifest))
