import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Server as NetServer, type Socket } from 'node:net'
import { SecretDiscoveryServiceService } from '@envoyproxy/protos/sds'
import { Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient } from '@vecauthz/spiffe-protos/workload'

/** How long streams get to send their last status before their connections are cut. */
const DRAIN_MS = 250

export interface Endpoint {
  /** Ends when every connection is gone and the socket file is removed. */
  readonly close: () => Promise<void>
}

/**
 * Serves the Workload API and Envoy's SDS, as a SPIRE agent does, on one unix socket of mode 0600. The socket is bound under another name, closed to others, and then
 * renamed: nobody can ever meet it open, and a stale file of the same name goes in the same step (rules S-16, S-17). Rejects when
 * somebody answers on that name already.
 */
export async function serveEndpoint(
  path: string,
  service: UntypedServiceImplementation,
  secrets: UntypedServiceImplementation
): Promise<Endpoint> {
  if (existsSync(path) && (await answers(path))) {
    throw new Error(`Another process already serves ${path}: stop it, or choose another folder.`)
  }
  const server = new Server()
  server.addService(SpiffeWorkloadAPIClient.service, service)
  server.addService(SecretDiscoveryServiceService, secrets)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const connections = new Set<Socket>()
  const listener = createServer((socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
    injector.injectConnection(socket)
  })
  const fresh = path.replace(/\.sock$/, '.new')
  rmSync(fresh, { force: true })
  await listen(listener, fresh)
  chmodSync(fresh, 0o600)
  renameSync(fresh, path)
  return {
    close: async () => {
      rmSync(path, { force: true })
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      const cut = setTimeout(() => {
        for (const socket of connections) socket.destroy()
      }, DRAIN_MS)
      injector.drain(DRAIN_MS)
      await closed
      clearTimeout(cut)
      server.forceShutdown()
    }
  }
}

function listen(server: NetServer, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
