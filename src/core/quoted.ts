/** What records and answers may say of a caller's own words: names, and nothing that only looks like data. */

/** Names of tenants, collections, fields and endpoints, SPIFFE IDs and paths without a query. */
const NAME = /^[\p{L}\p{N}_.:/@{}*+~#,[\]-]{0,160}$/u
const QUOTED = /"((?:[^"\\]|\\.)*)"/g

/** Puts `"?"` in the place of every quoted part that could not be a name. */
export function namesOnly(text: string): string {
  return text.includes('"') ? text.replace(QUOTED, (whole, inside: string) => (NAME.test(inside) ? whole : '"?"')) : text
}
