/** Protobuf and gRPC bytes by hand, so that tests can write what no encoder would. */

export function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

export const tag = (number: number, wire: number) => varint(number * 8 + wire)

/** A length-delimited field: text, bytes or a message. */
export function chunk(number: number, content: string | Uint8Array | readonly Uint8Array[]): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content instanceof Uint8Array ? content : Buffer.concat(content)
  return Buffer.concat([tag(number, 2), varint(bytes.length), bytes])
}

export const number = (field: number, value: number | bigint) => Buffer.concat([tag(field, 0), varint(value)])

export const floatBytes = (values: readonly number[]) => Buffer.from(Float32Array.from(values).buffer)

/** A gRPC message in its frame. */
export function frame(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}
