/** Names and ids as Weaviate 1.35 spells them (entities/schema/validation.go), and the references that are made of them. */
import { fail, quote } from './json-reader.ts'

const CLASS = /^[A-Z][_0-9A-Za-z]{0,254}$/
const CLASS_IN_ANY_CASE = /^[a-z][_0-9A-Za-z]{0,254}$/
const TENANT = /^[A-Za-z0-9_-]{1,64}$/
const PROPERTY = /^[_A-Za-z][_0-9A-Za-z]{0,230}$/
const UUID = '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'
const WHOLE_UUID = new RegExp(`^${UUID}$`)
/** Go reads a beacon as a URL; this one form has nothing that a URL could be about. */
const BEACON = new RegExp(`^weaviate://localhost/(?:([^/]*)/)?${UUID}$`)
const SOURCE = new RegExp(`^weaviate://localhost/([^/]*)/${UUID}/([^/]*)$`)

/** REST calls put the first letter into upper case and gRPC searches do not (tried), so that `doc` would be two classes. */
export function checkClass(name: string): string {
  if (CLASS.test(name)) return name
  if (CLASS_IN_ANY_CASE.test(name))
    return fail('call-ambiguous', `class ${quote(name)} begins with a small letter`, 'Write the class name with a capital first letter.')
  return fail('call-unreadable', `class ${quote(name)} is no name`, 'Class names have up to 255 letters, digits and "_", a capital first.')
}

/** @returns the tenant, or undefined for the empty text, which the server takes for none */
export function checkTenant(name: string): string | undefined {
  if (name === '') return undefined
  if (TENANT.test(name)) return name
  return fail('call-unreadable', `tenant ${quote(name)} is no name`, 'Tenant names have 1 to 64 letters, digits, "_" and "-".')
}

/** One spelling of a UUID; in a batch the server puts texts together, so an id must not be more than an id. */
export function checkUuid(id: string): void {
  if (!WHOLE_UUID.test(id)) fail('call-ambiguous', 'an object id is not a UUID', 'Write object ids as UUIDs of 36 characters.')
}

export function checkProperty(name: string): void {
  if (!PROPERTY.test(name)) fail('call-unreadable', `property ${quote(name)} is no name`)
}

/** @returns the class that a reference names, or undefined where it leaves the class to the server */
export function readBeacon(beacon: string): string | undefined {
  const parts = BEACON.exec(beacon)
  if (parts === null)
    return fail(
      'call-ambiguous',
      'a beacon in an unknown form',
      'Write beacons as weaviate://localhost/{Class}/{id}, with a UUID for the id.'
    )
  return parts[1] === undefined ? undefined : checkClass(parts[1])
}

/** @returns the class of `weaviate://localhost/{Class}/{id}/{property}` */
export function readSource(beacon: string): string {
  const parts = SOURCE.exec(beacon)
  if (parts === null)
    return fail('call-ambiguous', 'a source in an unknown form', 'Write sources as weaviate://localhost/{Class}/{id}/{property}.')
  checkProperty(parts[2] as string)
  return checkClass(parts[1] as string)
}
