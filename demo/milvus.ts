import { join } from 'node:path'
import { milvusLiteCommand } from '../setup/components.ts'
import { accepts, freePort, startDatabase } from './database-process.ts'
import type { Upstream } from './recorder.ts'

/** Starts milvus-lite on a free port of loopback. Data and `milvus.log` go into `folder`. Which version it is, a client can ask. */
export async function startMilvus(folder: string): Promise<{ readonly grpc: Upstream; readonly stop: () => Promise<void> }> {
  const { command, args } = milvusLiteCommand()
  const grpc = { host: '127.0.0.1', port: await freePort(0) }
  const own = ['server', '--data-dir', join(folder, 'data'), '--host', grpc.host, '--port', String(grpc.port)]
  const stop = await startDatabase({
    name: 'milvus-lite',
    command,
    args: [...args, ...own],
    logFile: join(folder, 'milvus.log'),
    isUp: () => accepts(grpc)
  })
  return { grpc, stop }
}
