/**
 * Loaded before a server (`node --import`): its clock of the day is off by as many milliseconds as the file of FAULTS_CLOCK says, which is
 * read at each SIGUSR2. What measures time that passes goes on, as when a real clock is set.
 */
import { readFileSync } from 'node:fs'

const RealDate = Date
const file = process.env['FAULTS_CLOCK'] ?? ''
let offset = 0
const read = () => {
  offset = Number(readFileSync(file, 'utf8'))
}
if (file !== '') {
  read()
  process.on('SIGUSR2', read)
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given) => (given.length === 0 ? new target(RealDate.now() + offset) : Reflect.construct(target, given)),
    get: (target, name) => (name === 'now' ? () => RealDate.now() + offset : Reflect.get(target, name))
  })
}
