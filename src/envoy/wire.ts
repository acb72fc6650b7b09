/**
 * A protobuf walk over bytes that are not copied (protobuf encoding spec, "Message Structure"): field by field, values as offsets.
 * Only for Envoy's own messages, whose sender is authenticated; what does not parse makes the walk fail, never guess.
 */

/** A field's number and where its payload lies; `end` = `start` for varints, whose value is `value`. */
export interface Field {
  number: number
  wire: number
  start: number
  end: number
  value: number
}

/** One reader per message being read; `field` is filled anew by each `next`, so that a walk makes no objects per field. */
export interface Walk {
  readonly bytes: Buffer
  at: number
  end: number
  readonly field: Field
  /** True when the message is malformed; the walk is over. */
  broken: boolean
}

export function walk(bytes: Buffer, start = 0, end = bytes.length): Walk {
  return { bytes, at: start, end, field: { number: 0, wire: 0, start: 0, end: 0, value: 0 }, broken: false }
}

/** The same reader for another message within the same bytes. */
export function rewalk(walk: Walk, start: number, end: number): Walk {
  walk.at = start
  walk.end = end
  walk.broken = false
  return walk
}

/** Steps to the next field; false at the end or when the message is broken (ask `broken`). */
export function next(walk: Walk): boolean {
  if (walk.at >= walk.end) return false
  const { field } = walk
  const tag = varint(walk)
  field.number = tag < 2 ** 31 ? tag >>> 3 : Math.floor(tag / 8)
  field.wire = tag & 7
  if (walk.broken || field.number === 0) return stop(walk)
  switch (field.wire) {
    case 0:
      field.value = varint(walk)
      field.start = field.end = walk.at
      return !walk.broken
    case 2:
      return skip(walk, varint(walk))
    case 1:
      return skip(walk, 8)
    case 5:
      return skip(walk, 4)
    default:
      return stop(walk)
  }
}

function skip(walk: Walk, length: number): boolean {
  if (walk.broken || length > walk.end - walk.at) return stop(walk)
  walk.field.start = walk.at
  walk.at += length
  walk.field.end = walk.at
  return true
}

function stop(walk: Walk): false {
  walk.broken = true
  return false
}

/** Values above 2^53 lose their low bits; nothing that is read here is that large, and lengths are bounded by the message. */
function varint(walk: Walk): number {
  const { bytes } = walk
  // Tags and lengths are mostly of one byte.
  const only = walk.at < walk.end ? (bytes[walk.at] as number) : 0x80
  if (only < 0x80) {
    walk.at++
    return only
  }
  let value = 0
  let scale = 1
  for (let count = 0; count < 10; count++) {
    if (walk.at >= walk.end) break
    const byte = bytes[walk.at++] as number
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value
    scale *= 128
  }
  walk.broken = true
  return 0
}
