/** `npm run demo -- --keep`: leaves the stack up, with an agent-side Envoy for two identities, and tells how to call it. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { envoyBinary } from '../setup/components.ts'
import { startEnvoy } from './envoy.ts'
import { APPROVER, HOST, INDEXER, SUPPORT } from './identities.ts'
import type { Pair } from './pair.ts'
import type { Stack } from './stack.ts'
import { collectionPath } from './step.ts'

/** An agent's own Envoy: plain HTTP on loopback in, mTLS with the agent's SVID out. */
export interface Sidecar {
  /** Where Chroma is for this agent. */
  readonly port: number
  readonly portOf: (database: 'weaviate' | 'milvus' | 'qdrant') => number
  readonly stop: () => Promise<void>
}

export async function startSidecar(stack: Stack, id: string): Promise<Sidecar> {
  const folder = join(stack.folder, `sidecar-${id.split('/').at(-1)}`)
  mkdirSync(folder, { mode: 0o700 })
  symlinkSync(stack.issuer.sdsFolderOf(id), join(folder, 'sds'))
  const gateway = { address: '127.0.0.1', port: stack.door.port }
  const upstreams = { gateway, gateway_grpc: gateway }
  const configFile = join(import.meta.dirname, '../envoy/agent-sidecar.yaml')
  const envoy = await startEnvoy({ binary: envoyBinary(), configFile, folder, overrides: { upstreams } })
  return { port: envoy.port('agent_in'), portOf: (database) => envoy.port(`agent_${database}`), stop: envoy.stop }
}

export async function keepUp(stack: Stack, pair: Pair, say: (line: string) => void): Promise<void> {
  const support = await startSidecar(stack, SUPPORT)
  const indexer = await startSidecar(stack, INDEXER)
  const client = writeClientFiles(stack)
  const own = pair.agents.indexer.port('egress_in')
  const count = collectionPath('acme', stack.collections['acme'] ?? '', 'count')
  const desk = `--admin 127.0.0.1:${stack.server.adminPort} --workload-api ${stack.issuer.socketOf(APPROVER)}`
  say(`
The stack stays up until Ctrl-C. SVIDs are renewed; the files below are for one hour.

curl as acme/support, straight to the gateway with its SVID:
  curl --cacert ${client}/bundle.pem --cert ${client}/svid.pem --key ${client}/key.pem \\
       --connect-to ${HOST}:443:127.0.0.1:${stack.door.port} https://${HOST}${count}

curl through the agent's own Envoy, which holds the SVID (another tenant's path is refused):
  curl http://127.0.0.1:${support.port}${count}
  curl http://127.0.0.1:${support.port}${count.replace('/acme/', '/globex/')}

The official client, unchanged (acme/job/indexer may write in collections named scratch-*):
  import { ChromaClient } from 'chromadb'
  const client = new ChromaClient({ host: '127.0.0.1', port: ${indexer.port}, tenant: 'acme', database: 'rag' })
  const scratch = await client.createCollection({ name: 'scratch-1', embeddingFunction: null })
  await scratch.add({ ids: ['a', 'b'], embeddings: [[1, 0, 0], [0, 1, 0]], documents: ['one', 'two'] })
  console.log(await scratch.query({ queryEmbeddings: [[1, 0, 0.1]], nResults: 1 }))

The same through the pair, as acme/job/indexer, by the database's own name, which leads to its Envoy (docs/pair.md):
  curl --resolve ${HOST}:${own}:127.0.0.1 http://${HOST}:${own}${count}

The console, in a browser on this host; it asks for the token in ${stack.folder}/console.token (docs/operate.md):
  http://127.0.0.1:${stack.server.localPort}

Dropping it waits for somebody else (docs/approvals.md); then say await client.deleteCollection({ name: 'scratch-1' }) once more:
  node src/main.ts approvals ${desk}
  node src/main.ts approve ID --reason "it is a demo" ${desk}

What was decided, and why:  tail -f ${stack.auditFile}
The policy in force, reloaded when you save it:  ${stack.policyFile}
`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
  say('Taking it down.')
  await Promise.all([support.stop(), indexer.stop()])
}

function writeClientFiles(stack: Stack): string {
  const folder = join(stack.folder, 'client')
  mkdirSync(folder, { mode: 0o700 })
  const { cert, key } = stack.credentials(SUPPORT, 3_600_000)
  writeFileSync(join(folder, 'svid.pem'), cert, { mode: 0o600 })
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
  writeFileSync(join(folder, 'bundle.pem'), stack.door.ca)
  return folder
}
