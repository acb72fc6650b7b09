// What this machine must have, and who may set up here.
import fs from 'node:fs'
import { join } from 'node:path'
import { MIB, ROOT, RUN, text } from './files.mjs'
import { Stop, say } from './run.mjs'

export const NODE_MAJOR_MIN = 20
/** Packages take 550 MB, components 170 MB, and both are built beside their place. */
const DISK_MIB_MIN = 1500
const LOCK = join(RUN, 'setup.lock')
const LOCK_WAIT_MS_MAX = 15 * 60_000
const LOCK_TELL_EVERY_MS = 10_000

export function machineCanDoIt() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NODE_MAJOR_MIN) {
    throw new Stop(
      `Node ${process.versions.node} is too old to start with.`,
      `install Node ${NODE_MAJOR_MIN} or newer; Node 24 itself comes with the packages.`
    )
  }
  const here = `${process.platform} ${process.arch}`
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new Stop(`Envoy and Chroma are not pinned for ${here}.`, 'use Linux on x86-64 or arm64 (a virtual machine or container will do).')
  }
  const glibc = process.report.getReport().header.glibcVersionRuntime
  const [one, two] = (glibc ?? '0.0').split('.').map(Number)
  if (one < 2 || (one === 2 && two < 31)) {
    throw new Stop(
      `this system has ${glibc ? `glibc ${glibc}` : 'no glibc'}, and Envoy needs 2.31.`,
      'use Debian 11, Ubuntu 20.04 or anything newer.'
    )
  }
  const { bavail, bsize } = fs.statfsSync(ROOT)
  const free = Math.floor((bavail * bsize) / MIB)
  if (free < DISK_MIB_MIN) throw new Stop(`${free} MB are free on the disk of ${ROOT}.`, `make room: set-up needs ${DISK_MIB_MIN} MB.`)
}

/** Two set-ups in one folder would pull packages from under each other, so the second waits. */
export async function lock() {
  fs.mkdirSync(RUN, { recursive: true })
  const until = Date.now() + LOCK_WAIT_MS_MAX
  let told = 0
  while (Date.now() < until) {
    try {
      fs.writeFileSync(LOCK, String(process.pid), { flag: 'wx' })
      return () => fs.rmSync(LOCK, { force: true })
    } catch (cause) {
      if (cause.code !== 'EEXIST')
        throw new Stop(`${RUN} cannot be written (${cause.code}).`, 'run set-up as a user who may write in this folder.')
    }
    const holder = Number(text(LOCK))
    if (!alive(holder)) {
      fs.rmSync(LOCK, { force: true })
    } else {
      if (Date.now() - told > LOCK_TELL_EVERY_MS) {
        say('', `Another set-up (process ${holder}) is at work here; waiting for it.`)
        told = Date.now()
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  throw new Stop('another set-up has been at work here for 15 minutes.', `end it, or delete ${LOCK}.`)
}

function alive(pid) {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return cause.code === 'EPERM'
  }
}
