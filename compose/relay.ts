/** Passes connections on, byte for byte: TLS stays between the two ends. */
import { chmodSync, chownSync, renameSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'

/** A port of our own loopback that leads elsewhere: what the demo calls on 127.0.0.1 is another container here. */
export async function portTo(target: NetConnectOpts): Promise<number> {
  const server = relay(target)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return (server.address() as AddressInfo).port
}

/** A socket that the users of `group` may open; one that a killed predecessor left is replaced in one step. */
export async function socketTo(path: string, group: number, target: NetConnectOpts): Promise<void> {
  const fresh = `${path}.next`
  rmSync(fresh, { force: true })
  const server = relay(target)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(fresh, resolve))
  chownSync(fresh, process.getuid?.() ?? 0, group)
  chmodSync(fresh, 0o660)
  renameSync(fresh, path)
}

function relay(target: NetConnectOpts): Server {
  return createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ ...target, allowHalfOpen: true } as NetConnectOpts)
    join(near, far)
    join(far, near)
  })
}

/** An end that breaks breaks the other one: a refused handshake has to look like one. */
function join(from: Socket, to: Socket): void {
  from.pipe(to)
  from.on('error', () => to.destroy())
}
