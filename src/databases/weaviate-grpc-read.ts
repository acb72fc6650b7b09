/** Reading a gRPC message whole, or refusing it. */
import { accept, type Result } from '../core/deny-reason.ts'
import { isRefused } from './json-reader.ts'
import { readProto } from './protobuf.ts'
import type { MessageTable } from './protobuf-fields.ts'
import type { Facts } from './weaviate-facts.ts'

/** @param read may end with `fail` */
export function readerOf<T>(message: MessageTable<T>, read: (request: T) => Facts): (bytes: Uint8Array) => Result<Facts> {
  return (bytes) => {
    const request = readProto(bytes, message)
    if (!request.ok) return request
    try {
      return accept(read(request.value))
    } catch (cause) {
      if (isRefused(cause)) return cause
      throw cause
    }
  }
}
