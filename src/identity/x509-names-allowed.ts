import type { Certificate } from './x509-certificate.ts'
import { EMPTY_NAME, type GeneralName, NAME_TYPE } from './x509-name.ts'

/**
 * Name constraints (RFC 5280 §4.2.1.10; rule X-17). URI and DNS names are processed. A constraint of another type refuses the path
 * where it is critical, as any critical thing that is not processed does; the standard asks for less, that it refuses certificates
 * which have a name of that type, and so it does here where it is not critical. Where the standard leaves two readings, the one
 * that allows less is taken: self-issued certificates are not exempt, a bare host excludes the hosts below it as well, and what is
 * no host name constrains everything.
 */
export function forbiddenName(issuer: Certificate, below: readonly Certificate[]): string | undefined {
  const constraints = issuer.extensions.nameConstraints
  if (constraints === undefined) return undefined
  const { critical, permitted, excluded } = constraints
  for (const type of new Set([...permitted, ...excluded].map((base) => base.type))) {
    if (critical && !PROCESSED.includes(type)) return `a critical constraint on names of type ${type}, which is not processed`
    const ofType = (base: GeneralName): boolean => base.type === type
    const [allow, deny] = [permitted.filter(ofType), excluded.filter(ofType)]
    for (const name of below.flatMap((certificate) => namesOf(certificate, type))) {
      const host = hostOf(type, name)
      if (host === undefined) return `a name of type ${type}, which its issuer constrains in a way that is not processed`
      if (deny.some((base) => excludes(base.text, host))) return 'a name that its issuer is not allowed to certify (excluded)'
      if (allow.length > 0 && !allow.some((base) => permits(base.text, host, type))) {
        return 'a name that its issuer is not allowed to certify (not permitted)'
      }
    }
  }
  return undefined
}

const PROCESSED: readonly number[] = [NAME_TYPE.uri, NAME_TYPE.dns]

function namesOf({ subject, extensions }: Certificate, type: number): readonly string[] {
  const names = (extensions.subjectAltName?.names ?? []).filter((name) => name.type === type).map((name) => name.text)
  // A subject is a directory name, and may hold e-mail addresses: constraints on either reach it (RFC 5280 §4.2.1.10).
  const inSubject = type === NAME_TYPE.directory || type === NAME_TYPE.email
  return inSubject && subject !== EMPTY_NAME ? [...names, subject] : names
}

const HOST = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/
const ADDRESS = /^[0-9]+(?:\.[0-9]+){3}$/

/** The host that a constraint is held against; undefined where there is none, which RFC 5280 §4.2.1.10 refuses. */
function hostOf(type: number, name: string): string | undefined {
  const uri = type === NAME_TYPE.uri ? /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(name)?.[1] : undefined
  const host = (type === NAME_TYPE.dns ? name : uri)?.toLowerCase()
  return host !== undefined && HOST.test(host) && !ADDRESS.test(host) ? host : undefined
}

/** A URI base is one host, or with a leading dot all hosts below; a DNS base is a host and all below (RFC 5280 §4.2.1.10). */
function permits(base: string, host: string, type: number): boolean {
  const wanted = base.toLowerCase()
  if (type === NAME_TYPE.dns) return HOST.test(wanted) && (host === wanted || host.endsWith(`.${wanted}`))
  if (wanted.startsWith('.')) return HOST.test(wanted.slice(1)) && host.endsWith(wanted)
  return host === wanted
}

function excludes(base: string, host: string): boolean {
  const wanted = base.toLowerCase().replace(/^\./, '')
  return !HOST.test(wanted) || host === wanted || host.endsWith(`.${wanted}`)
}
