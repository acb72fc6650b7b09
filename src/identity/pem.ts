/**
 * The URL-encoded PEM that Envoy writes for certificates (Ssl::ConnectionInfo::urlEncodedPemEncodedPeerCertificate; RFC 7468 §3
 * in the strict form): blocks of canonical base64 and nothing else, so that one text is one certificate.
 */
import { strictBase64 } from './base64.ts'

export type PemResult =
  | { readonly ok: true; readonly certificates: readonly Uint8Array[] }
  | {
      readonly ok: false
      /** What is wrong, in words that fit after "the certificate is". */
      readonly detail: string
    }

const BEGIN = '-----BEGIN CERTIFICATE-----\n'
const END = '\n-----END CERTIFICATE-----\n'

/** DER of one to `most` CERTIFICATE blocks, in their order. */
export function decodeUrlPem(text: string, most: number): PemResult {
  const pem = percentDecoded(text)
  if (pem === undefined) return { ok: false, detail: 'not URL-encoded' }
  const certificates: Uint8Array[] = []
  for (let at = 0; at < pem.length; ) {
    if (certificates.length === most)
      return { ok: false, detail: `followed by something after ${most === 1 ? 'its block' : `${most} blocks`}` }
    const end = pem.indexOf(END, at)
    if (!pem.startsWith(BEGIN, at) || end === -1) return { ok: false, detail: 'not a PEM block of type CERTIFICATE' }
    const der = strictBase64(pem.slice(at + BEGIN.length, end).replaceAll('\n', ''))
    if (der === undefined || der.length === 0) return { ok: false, detail: 'not strict base64' }
    certificates.push(der)
    at = end + END.length
  }
  return certificates.length === 0 ? { ok: false, detail: 'empty' } : { ok: true, certificates }
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
