import { type Refused, refuse } from '../core/deny-reason.ts'

const NAME_BYTES_MAX = 255
/** What Qdrant refuses in the name of a new collection, the control characters besides. */
const FORBIDDEN = /[<>:"/\\|?*\u0000-\u001f\u007f]/

/** No character takes more than three bytes for each of its parts. */
function hasAtMost(bytes: number, text: string): boolean {
  return text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes
}

/** A collection's name or an alias, which can stand wherever a name can and is judged as the name that was written. */
export function checkCollection(name: string): Refused | undefined {
  const fits = name !== '' && name !== '.' && name !== '..' && !FORBIDDEN.test(name) && hasAtMost(NAME_BYTES_MAX, name)
  if (fits) return undefined
  const remedy = 'Names have 1 to 255 bytes and none of < > : " / \\ | ? *.'
  return refuse('call-unreadable', 'the name of a collection is none that Qdrant would take', remedy)
}
