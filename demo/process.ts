/** Child processes of the demo: whether they are gone, and how they are ended. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const alive = new Set<ChildProcess>()

/** Kills the child when this process ends, however that ends. Gives what takes that back. */
export function endsWithUs(child: ChildProcess): () => void {
  if (alive.size === 0) process.once('exit', killAll)
  alive.add(child)
  return () => {
    alive.delete(child)
    if (alive.size === 0) process.off('exit', killAll)
  }
}

function killAll(): void {
  for (const child of alive) child.kill('SIGKILL')
}

export function gone(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** SIGTERM, and SIGKILL for what does not end in time. Gives the exit code; may be called twice. */
export async function endProcess(child: ChildProcess, waitMsMax: number): Promise<number | null> {
  if (child.pid === undefined || gone(child)) return child.exitCode
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), waitMsMax)
  await exited
  clearTimeout(late)
  return child.exitCode
}
