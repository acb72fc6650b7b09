/** Names and ids as Chroma 1.5.9 spells them, and how it is asked for the name behind an id. */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { FoundName, NameLookup } from './dialect.ts'
import { fail, type JsonReader, quote } from './json-reader.ts'
import { readString } from './json-text.ts'

/** Chroma's own rule for databases and collections (rust/types/src/validators.rs). Tenants may be called anything there; not here. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const ANY_UUID = /^(urn:uuid:)?\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i

/** @param what `tenant`, `database` or `collection` */
export function checkName(name: string, what: string): Refused | undefined {
  if (NAME.test(name) && !name.includes('..')) return undefined
  // `a+b` is a database in another region, and passes for a collection name too (tried).
  if (name.includes('+')) return refuse('call-ambiguous', `${what} ${quote(name)} names a topology`, 'Names with + are not served.')
  return refuse('call-unreadable', `${what} ${quote(name)} is no name`, 'Names have 3 to 512 characters of a-z, A-Z, 0-9, ".", "_", "-".')
}

/** Chroma takes an id in capitals, without hyphens, in braces and as a URN for the same id (tried); here it has one spelling. */
export function checkId(id: string): Refused | undefined {
  if (UUID.test(id)) return undefined
  const remedy = 'Write the collection id as Chroma gave it: 36 characters, lower case, with hyphens.'
  return ANY_UUID.test(id)
    ? refuse('call-ambiguous', 'the collection id is not in canonical form', remedy)
    : refuse('call-ambiguous', 'the collection is not named by an id', remedy)
}

/** The name that a body gives to something: checked like one in a path. */
export function readName(json: JsonReader, what: string): string {
  const name = readString(json, what)
  const fault = checkName(name, what)
  if (fault !== undefined) fail(fault.reason.kind, fault.reason.because, fault.reason.remedy)
  return name
}

/** This one endpoint honours tenant and database; the calls that it is asked for do not (tried on 1.5.9). */
export const chromaNames: NameLookup = {
  path: (tenant, namespace, id) => `/api/v2/tenants/${tenant}/databases/${namespace}/collections/by-id/${id}`,
  read: (status, body) => {
    if (status === 200) return readCollection(body)
    return status === 404 ? readAbsence(body) : unavailable(`the database answered ${status}`)
  }
}

/** The database answers for itself, so what it says beside these four is its own affair. */
function readCollection(body: Uint8Array): Result<FoundName> {
  const { id, name, tenant, database } = objectIn(body)
  if (typeof id !== 'string' || typeof name !== 'string' || typeof tenant !== 'string' || typeof database !== 'string') {
    return unavailable('the database described no collection')
  }
  return accept({ id, name, tenant, namespace: database })
}

/** A 404 of Chroma's own about the collection; one from anything else on the way says nothing about it. */
function readAbsence(body: Uint8Array): Result<'absent'> {
  const { error } = objectIn(body)
  return error === 'NotFoundError' ? accept('absent') : unavailable('the database answered 404, but not about the collection')
}

function objectIn(body: Uint8Array): { readonly [key in 'id' | 'name' | 'tenant' | 'database' | 'error']?: unknown } {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function unavailable(because: string): Refused {
  return refuse('state-unavailable', because)
}
