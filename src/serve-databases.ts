/** The databases of the settings, found by the authority a call names, each with its dialect and its names. */

import type { Settings } from './config/settings-schema.ts'
import { accept } from './core/deny-reason.ts'
import type { ResolvedTarget, VectorCall } from './core/vector-call.ts'
import type { Dialect, NameLookup } from './databases/dialect.ts'
import { DIALECTS } from './databases/dialects.ts'
import { createNames, type NameSource, type Names } from './state/names.ts'
import { createNameFetcher } from './state/names-http.ts'
import type { Served } from './world.ts'

/** What a question to a database carries, by the database's id. */
type HeadersFor = (database: string) => Readonly<Record<string, string>>

/** How a database is asked for its names, where it has to be; headers as they stand at each question. */
export type AskedOf = (url: string, names: NameLookup, headers: () => Readonly<Record<string, string>>) => Omit<NameSource, 'server'>

/**
 * @param askedOf over HTTP, unless somebody else knows the names
 * @returns the look-up by authority: an exact `host:port`, or a `host` that stands for every port of it
 */
export function serveDatabases(
  settings: Settings,
  headersFor: HeadersFor,
  askedOf: AskedOf = askedOverHttp
): (authority: string) => Served | undefined {
  const names = createNames({ now: Date.now, timeoutMs: Math.floor(settings.deadline_ms * 0.75) })
  const byAuthority = new Map<string, Served>()
  for (const database of settings.databases) {
    // Loading refused every kind that has no dialect.
    const { id, kind, url } = database
    const dialect: Dialect = DIALECTS[kind as keyof typeof DIALECTS]
    // At egress names are not asked: the index, which is in front of the database, does that.
    const asked =
      dialect.names === undefined || url === undefined || settings.role === 'egress'
        ? undefined
        : askedOf(url, dialect.names, () => headersFor(id))
    const served = serveOne(id, dialect, asked, names)
    for (const authority of database.authorities) byAuthority.set(authority, served)
  }
  return (authority) => byAuthority.get(authority) ?? byAuthority.get(hostOf(authority))
}

function hostOf(authority: string): string {
  return /^([^:]+):\d{1,5}$/.exec(authority)?.[1] ?? ''
}

function askedOverHttp(url: string, { path, read }: NameLookup, headers: () => Readonly<Record<string, string>>) {
  return { path, read, fetchName: createNameFetcher({ url, headers }).fetchName }
}

function serveOne(id: string, dialect: Dialect, asked: ReturnType<AskedOf> | undefined, names: Names): Served {
  if (asked === undefined) return { id, dialect, resolve: (_, call, tenant) => accept(byName(call, tenant)), forget: () => undefined }
  const source = { server: id, ...asked }
  return {
    id,
    dialect,
    resolve: (caller, call) => names.resolve(source, caller.id.text, call.targets),
    forget: (targets) => names.forget(id, targets)
  }
}

/** For databases whose calls carry names only. */
function byName(call: VectorCall, tenant: string): readonly ResolvedTarget[] {
  return call.targets.flatMap(({ tenant: claim, namespace, collection, bounds }) => {
    // Only what asks no names leaves an id: everywhere else a grant refuses it.
    return [{ tenant, namespace, collection, claim, ...(bounds === undefined ? {} : { bounds }) }]
  })
}
