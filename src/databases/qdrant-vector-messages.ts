/** Vectors in Qdrant's gRPC messages (lib/api/src/grpc/proto/points.proto of 1.19). */
import { floats, type MessageOf, many, map, one, table, text, uint32, uint32s } from './protobuf-fields.ts'
import { choice, payload, VALUE } from './qdrant-messages.ts'

const DENSE = table('DenseVector', floats(1, 'data'))
export const DENSE_VECTOR = () => DENSE
const SPARSE = table('SparseVector', floats(1, 'values'), uint32s(2, 'indices'))
export const SPARSE_VECTOR = () => SPARSE
const MULTI = table('MultiDenseVector', many(1, 'vectors', DENSE_VECTOR))
export const MULTI_VECTOR = () => MULTI
const INDICES = table('SparseIndices', uint32s(1, 'data'))
export const SPARSE_INDICES = () => INDICES

// What the server's own models would turn into a vector: read, so that the refusal can say what it is.
const DOCUMENT = table('Document', text(1, 'text'), text(3, 'model'), payload(4, 'options'))
export const INFERENCE_TEXT = () => DOCUMENT
const IMAGE = table('Image', one(1, 'image', VALUE), text(2, 'model'), payload(3, 'options'))
export const INFERENCE_IMAGE = () => IMAGE
const OBJECT = table('InferenceObject', one(1, 'object', VALUE), text(2, 'model'), payload(3, 'options'))
export const INFERENCE = () => OBJECT

/** A stored vector: the older fields, or a member of the oneof. */
const STORED = table(
  'Vector',
  floats(1, 'data'),
  one(2, 'indices', SPARSE_INDICES),
  uint32(3, 'vectors_count'),
  choice(101, 'dense', DENSE_VECTOR),
  choice(102, 'sparse', SPARSE_VECTOR),
  choice(103, 'multi_dense', MULTI_VECTOR),
  choice(104, 'document', INFERENCE_TEXT),
  choice(105, 'image', INFERENCE_IMAGE),
  choice(106, 'object', INFERENCE)
)
export const VECTOR = () => STORED
export type StoredVector = MessageOf<typeof STORED>
const NAMED = table('NamedVectors', map(1, 'vectors', one(2, 'value', VECTOR)))
const ALL = table(
  'Vectors',
  choice(1, 'vector', VECTOR),
  choice(2, 'vectors', () => NAMED)
)
export const VECTORS = () => ALL
export type StoredVectors = MessageOf<typeof ALL>
