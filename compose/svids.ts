/** Every SVID that the Workload API has for this process: the scenario's user has an entry for each workload that it plays. */
import { X509Certificate } from 'node:crypto'
import { ChannelCredentials, Metadata } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import type { Credentials } from '../demo/client.ts'
import { splitDer } from '../src/spire/der-split.ts'

const WAIT_MS_MAX = 30_000
const CHAIN_MAX = 8

/** Waits until there is one for each of `ids`: an agent learns of a new entry within some seconds. SPIFFE ID to chain and key. */
export async function svidsFor(ids: readonly string[], socket: string): Promise<ReadonlyMap<string, Credentials>> {
  const client = new SpiffeWorkloadAPIClient(`unix:${socket}`, ChannelCredentials.createInsecure())
  const header = new Metadata()
  header.set('workload.spiffe.io', 'true')
  const until = Date.now() + WAIT_MS_MAX
  let missing: readonly string[] = ids
  let fault = ''
  try {
    while (Date.now() < until) {
      const stream = client.fetchX509Svid({}, header)
      try {
        for await (const message of stream as AsyncIterable<X509SVIDResponse>) {
          const found = new Map(message.svids.map((one) => [one.spiffeId, { cert: chainPem(one.x509Svid), key: keyPem(one.x509SvidKey) }]))
          missing = ids.filter((id) => !found.has(id))
          if (missing.length === 0) return found
          if (Date.now() > until) break
        }
      } catch (cause) {
        fault = (cause as Error).message
      } finally {
        stream.cancel()
      }
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  } finally {
    client.close()
  }
  throw new Error(`The SPIRE agent has no SVID of ${missing.join(', ')} for this user. ${fault}`)
}

function chainPem(der: Uint8Array): string {
  return (splitDer(der, CHAIN_MAX) ?? []).map((one) => new X509Certificate(one).toString()).join('')
}

function keyPem(der: Uint8Array): string {
  return `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PRIVATE KEY-----\n`
}
