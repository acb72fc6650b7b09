// Running one command with progress lines, its output kept in a log.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { ROOT, RUN, text } from './files.mjs'

/** Anything longer than this tells how far it is. */
const PROGRESS_EVERY_MS = 2000

const children = new Set()

/** A step that cannot be done: one sentence, and what to do about it. */
export class Stop extends Error {
  constructor(sentence, remedy) {
    super(sentence)
    this.remedy = remedy
  }
}

/** Ends every command that is still running. */
export function stopCommands() {
  for (const child of children) child.kill('SIGTERM')
}

export async function run(name, what, command, args, { env, progress, remedy }) {
  const log = join(RUN, `setup-${name.replaceAll(' ', '-').toLowerCase()}.log`)
  const begun = Date.now()
  say(name, `${what} …`)
  const out = fs.openSync(log, 'w')
  const tick = setInterval(() => say(name, `… ${progress ? `${progress(text(log))}, ` : ''}${seconds(begun)}`), PROGRESS_EVERY_MS)
  const code = await new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', out, out] })
    children.add(child)
    child.once('error', (cause) => resolve(cause.code ?? 'error'))
    child.once('close', (status, signal) => {
      children.delete(child)
      resolve(signal ?? status)
    })
  })
  clearInterval(tick)
  fs.closeSync(out)
  if (code === 0) return say(name, `ready, ${seconds(begun)}`)
  if (code === 'ENOENT') throw new Stop(`${command} is not on this machine.`, `install ${command} and run it again.`)
  throw new Stop(`${name}: ${faultIn(text(log)) || `${command} ended with ${code}`} (log: ${log}).`, remedy(text(log)))
}

/** The line of a log that says what went wrong: npm's first that is a sentence, pip's last error, or simply the last. */
function faultIn(log) {
  const lines = log.split('\n').map((line) => line.trim())
  const npm = lines
    .filter((line) => /^npm error (?!code |errno |syscall |A complete log)./.test(line))
    .map((line) => line.slice('npm error '.length))
  const fault = npm[0] ?? lines.filter((line) => /^(error|fatal)/i.test(line)).at(-1) ?? lines.filter(Boolean).at(-1)
  return (fault ?? '').replace(/\.$/, '').slice(0, 300)
}

export function firstLine({ error, stderr, signal, status }) {
  return error?.code ?? (stderr?.trim().split('\n').at(-1) || String(signal ?? `exit code ${status}`)).slice(0, 200)
}

export function say(name, words) {
  process.stdout.write(name === '' ? `${words}\n` : `  ${name.padEnd(13)} ${words}\n`)
}

export function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}
