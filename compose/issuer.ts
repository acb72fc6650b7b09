/** The profile without SPIRE: the dev issuer behind one socket for each service, which only that service's group may open. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TRUST_DOMAIN } from '../demo/identities.ts'
import { startDevIssuer } from '../src/spire/dev-issuer.ts'
import { socketTo } from './relay.ts'
import { CONFIG, MEMBERS, type MemberName, SVID_SECONDS, socketOf } from './roster.ts'

export async function runIssuer(say: (line: string) => void): Promise<undefined> {
  const at = (file: string) => readFileSync(join(CONFIG, 'issuer', file), 'utf8')
  const issuer = await startDevIssuer({
    folder: '/tmp/issuer',
    trustDomains: [TRUST_DOMAIN],
    roots: { [TRUST_DOMAIN]: { certPem: at('root.crt'), keyPem: at('root.key') } },
    entries: Object.values(MEMBERS).map((member) => ({ id: member.id, ...('dns' in member ? { dns: member.dns } : {}) })),
    ttlMs: SVID_SECONDS * 1000,
    environment: process.env,
    say
  })
  for (const [name, { id, user }] of Object.entries(MEMBERS)) {
    await socketTo(socketOf(name as MemberName), user, { path: issuer.socketOf(id).slice('unix://'.length) })
  }
  say('serving')
  return undefined
}
