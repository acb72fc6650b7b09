import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { certificatePem, newKey, type Signer, writeCertificate } from './dev-certificate.ts'

/** One X.509-SVID with its key, as a workload would hold it. */
export interface IssuedSvid {
  readonly id: string
  /** DER, leaf first, then the intermediate. */
  readonly chain: readonly Uint8Array[]
  readonly chainPem: string
  readonly key: KeyObject
  /** PKCS#8. */
  readonly keyPem: string
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  /** Lower-case hex. */
  readonly serial: string
}

interface LeafSpec {
  readonly uris: readonly string[]
  readonly dns: readonly string[]
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  readonly emptySubject: boolean
}

/** A root from outside: what several issuers of one trust domain have in common. */
export interface GivenRoot {
  readonly certPem: string
  /** PKCS#8, of the curve P-256. */
  readonly keyPem: string
}

export interface AuthoritySettings {
  readonly trustDomain: string
  /** Signed under instead of a root of one's own; never rotated here, as nobody else would hear of another. */
  readonly root?: GivenRoot | undefined
  readonly now: () => number
  readonly randomBytes: (count: number) => Uint8Array
  /** How long a new root is published before anything is signed under it. */
  readonly rootSettleMs: number
  /** How long an old root stays published after the last signature under it. */
  readonly rootOverlapMs: number
}

/** What a step of the authority changed for those who listen. */
interface AuthorityChange {
  readonly bundle: boolean
  readonly signer: boolean
}

interface CertificateAuthority extends Signer {
  readonly der: Uint8Array
  readonly notBefore: number
  readonly notAfter: number
}

const HOUR = 3_600_000
const ROOT_TTL_MS = 7 * 24 * HOUR
const INTERMEDIATE_TTL_MS = 24 * HOUR
/** SPIRE dates certificates back by the same time, for clocks that are a little behind. */
const BACKDATE_MS = 10_000

/**
 * The signing side of one trust domain: a root, an intermediate below it, and what it takes to change either without breaking
 * a chain. Nothing in here has a timer: `step` does what is due at `now()`.
 */
export interface Authority {
  readonly trustDomain: string
  /** DER of every root that is published: two or more while one replaces the other. */
  readonly roots: () => readonly Uint8Array[]
  readonly issue: (spec: LeafSpec) => IssuedSvid
  readonly rotateIntermediate: () => void
  /** Publishes a new root; `step` makes it the signing one after `rootSettleMs`. */
  readonly rotateRoot: () => void
  readonly step: () => AuthorityChange
}

export function createAuthority(settings: AuthoritySettings): Authority {
  const { now, trustDomain } = settings
  const given = settings.root === undefined ? undefined : readRoot(settings.root)
  let root = given ?? makeCa(settings, 'root', undefined)
  let intermediate = makeCa(settings, 'intermediate', root)
  let next: { readonly root: CertificateAuthority; readonly signsFrom: number } | undefined
  let retiring: readonly { readonly root: CertificateAuthority; readonly until: number }[] = []

  const rotateIntermediate = () => {
    intermediate = makeCa(settings, 'intermediate', root)
  }
  const rotateRoot = () => {
    if (given !== undefined) throw new Error(`The root of ${trustDomain} was given from outside: it is not rotated here.`)
    next ??= { root: makeCa(settings, 'root', undefined), signsFrom: now() + settings.rootSettleMs }
  }
  const step = (): AuthorityChange => {
    const [rootBefore, intermediateBefore, published] = [root, intermediate, retiring.length + (next === undefined ? 0 : 1)]
    if (given === undefined && pastHalf(root, now())) rotateRoot()
    if (next !== undefined && next.signsFrom <= now()) {
      retiring = [...retiring, { root, until: now() + settings.rootOverlapMs }]
      root = next.root
      next = undefined
      rotateIntermediate()
    } else if (pastHalf(intermediate, now())) {
      rotateIntermediate()
    }
    retiring = retiring.filter(({ until }) => until > now())
    const publishedNow = retiring.length + (next === undefined ? 0 : 1)
    return { bundle: root !== rootBefore || published !== publishedNow, signer: intermediate !== intermediateBefore }
  }
  return {
    trustDomain,
    roots: () => [root.der, ...(next === undefined ? [] : [next.root.der]), ...retiring.map((old) => old.root.der)],
    issue: (spec) => issueLeaf(settings, intermediate, spec),
    rotateIntermediate,
    rotateRoot,
    step
  }
}

function readRoot({ certPem, keyPem }: GivenRoot): CertificateAuthority {
  const read = new X509Certificate(certPem)
  const key = createPrivateKey(keyPem)
  if (!read.checkPrivateKey(key)) throw new Error('The key of the given root is not the one in its certificate.')
  const name = /^CN=(.+)$/m.exec(read.subject)?.[1] ?? ''
  return { name, key, der: new Uint8Array(read.raw), notBefore: read.validFromDate.getTime(), notAfter: read.validToDate.getTime() }
}

function makeCa(
  settings: AuthoritySettings,
  kind: 'root' | 'intermediate',
  parent: CertificateAuthority | undefined
): CertificateAuthority {
  const serial = settings.randomBytes(16)
  const key = newKey()
  const name = `${settings.trustDomain} ${kind} ${Buffer.from(serial).toString('hex', 0, 4)}`
  const notBefore = settings.now() - BACKDATE_MS
  const notAfter = notBefore + (parent === undefined ? ROOT_TTL_MS : INTERMEDIATE_TTL_MS)
  const der = writeCertificate({
    name,
    key,
    issuer: parent ?? { name, key },
    serial,
    notBefore,
    notAfter,
    // X509-SVID §3.2: a signing certificate names its trust domain, without a path.
    uris: [`spiffe://${settings.trustDomain}`],
    dns: [],
    pathLength: parent === undefined ? 1 : 0
  })
  return { name, key, der, notBefore, notAfter }
}

function issueLeaf(settings: AuthoritySettings, intermediate: CertificateAuthority, spec: LeafSpec): IssuedSvid {
  const key = newKey()
  // A certificate tells whole seconds; what is reported here is what it says.
  const notBefore = wholeSeconds(spec.notBefore)
  const notAfter = wholeSeconds(Math.min(spec.notAfter, intermediate.notAfter))
  const leaf = writeCertificate({
    name: spec.emptySubject ? '' : 'workload',
    key,
    issuer: intermediate,
    serial: settings.randomBytes(16),
    notBefore,
    notAfter,
    uris: spec.uris,
    dns: spec.dns
  })
  const chain = [leaf, intermediate.der]
  return {
    id: spec.uris[0] ?? '',
    chain,
    chainPem: chain.map(certificatePem).join(''),
    key,
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    notBefore,
    notAfter,
    serial: new X509Certificate(leaf).serialNumber.toLowerCase()
  }
}

function pastHalf({ notBefore, notAfter }: CertificateAuthority, now: number): boolean {
  return now >= (notBefore + notAfter) / 2
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
