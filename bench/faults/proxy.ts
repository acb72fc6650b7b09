/** A way to a server on loopback that can be cut: what is on it then goes nowhere, and nobody is told, as when a cable is pulled. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Proxy {
  readonly port: number
  readonly cut: () => void
  readonly mend: () => void
  readonly stop: () => Promise<void>
}

export async function startProxy(to: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  const keep = (socket: Socket, other?: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      if (!isCut) other?.destroy()
    })
  }
  const server = createServer((near) => {
    if (isCut) {
      near.pause()
      return keep(near)
    }
    const far = connect(to, '127.0.0.1')
    keep(near, far)
    keep(far, near)
    near.on('data', (bytes) => isCut || far.write(bytes))
    far.on('data', (bytes) => isCut || near.write(bytes))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as { port: number }).port,
    cut() {
      isCut = true
    },
    mend() {
      isCut = false
      // What was under way is lost on both sides.
      destroyAll()
    },
    async stop() {
      destroyAll()
      server.close()
      await once(server, 'close')
    }
  }
}
