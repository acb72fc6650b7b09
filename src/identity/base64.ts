/** Node's decoders skip what they do not know, so only what encodes back to the same text was base64 (RFC 4648 §4, §5). */

/** Standard alphabet, with padding. Undefined for any other text; an empty text is no bytes. */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** URL alphabet, without padding (RFC 7515 §2). Undefined for any other text; an empty text is no bytes. */
export function strictBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
