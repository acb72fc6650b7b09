/** PEM as files have it (RFC 7468 §2): explanatory text between the blocks, either line ending, but nothing else in the blocks. */
import { strictBase64 } from '../identity/base64.ts'

export type PemFile =
  | { readonly ok: true; readonly certificates: readonly Uint8Array[] }
  | {
      readonly ok: false
      /** Words that fit after "the file". */
      readonly detail: string
    }

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

/** Every certificate of the text. A text of white space only has none; one that has other things and none is no PEM. */
export function readPemCertificates(text: string): PemFile {
  const certificates: Uint8Array[] = []
  let block: string[] | undefined
  for (const line of text.split('\n').map((one) => one.trimEnd())) {
    if (block === undefined) {
      if (line === BEGIN) block = []
      // A block of another kind, or a damaged line, is not to be taken for explanatory text.
      else if (line.includes('-----'))
        return no(`has a line that begins no certificate: ${line.includes('PRIVATE KEY') ? 'a private key' : 'another kind of block'}`)
    } else if (line === END) {
      const der = strictBase64(block.join(''))
      if (der === undefined || der.length === 0) return no('has a certificate that is not base64')
      certificates.push(der)
      block = undefined
    } else block.push(line)
  }
  if (block !== undefined) return no('has a certificate without an end')
  return certificates.length > 0 || text.trim() === '' ? { ok: true, certificates } : no('is no PEM')
}

function no(detail: string): PemFile {
  return { ok: false, detail }
}
