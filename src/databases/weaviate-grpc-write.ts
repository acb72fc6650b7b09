/** `Weaviate/BatchObjects` and `BatchReferences` (grpc/proto/v1/batch.proto): every element names its own class and tenant. */
import { VECTORS_MAX } from '../core/limits.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { bytes, enumeration, floats, type MessageOf, many, one, table, text, texts } from './protobuf-fields.ts'
import { type Facts, longest, nothingTouched, type Touched, targetsOf, touch, touchEvery, touchReferred } from './weaviate-facts.ts'
import { readObjectProperties, VALUES } from './weaviate-grpc-properties.ts'
import { readerOf } from './weaviate-grpc-read.ts'
import { LEVELS, VECTORS } from './weaviate-grpc-tables.ts'
import { floatsOf, plain, push, readVectors, sizeOf } from './weaviate-grpc-vectors.ts'
import { checkClass, checkProperty, checkUuid } from './weaviate-names.ts'

const SINGLE_REFERENCES = table('SingleTargetRefProps', texts(1, 'uuids'), text(2, 'prop_name'))
const MULTI_REFERENCES = table('MultiTargetRefProps', texts(1, 'uuids'), text(2, 'prop_name'), text(3, 'target_collection'))

/** Numbers as in `ObjectPropertiesValue`, but for the first three. */
const PROPERTIES = table(
  'BatchObject.Properties',
  VALUES.struct(1),
  many(2, 'single_target_ref_props', () => SINGLE_REFERENCES),
  many(3, 'multi_target_ref_props', () => MULTI_REFERENCES),
  VALUES.numbers(4),
  VALUES.integers(5),
  VALUES.texts(6),
  VALUES.booleans(7),
  VALUES.objects(8),
  VALUES.objectArrays(9),
  texts(10, 'empty_list_props')
)
type Properties = MessageOf<typeof PROPERTIES>

const OBJECT = table(
  'BatchObject',
  text(1, 'uuid'),
  floats(2, 'vector'),
  one(3, 'properties', () => PROPERTIES),
  text(4, 'collection'),
  text(5, 'tenant'),
  bytes(6, 'vector_bytes'),
  many(23, 'vectors', () => VECTORS)
)
type BatchObject = MessageOf<typeof OBJECT>

const BATCH = table(
  'BatchObjectsRequest',
  many(1, 'objects', () => OBJECT),
  enumeration(2, 'consistency_level', LEVELS)
)

export const readGrpcObjects = readerOf(BATCH, ({ objects = [] }): Facts => {
  if (objects.length === 0) fail('call-unreadable', 'the batch has no objects')
  if (objects.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} objects`)
  const touched = nothingTouched()
  const vectors: Float32Array[] = []
  for (const one of objects) readObject(one, touched, vectors)

  return { shape: { ...NO_SHAPE, records: objects.length, dimensions: longest(vectors), vectors }, targets: targetsOf(touched) }
})

function readObject(object: BatchObject, touched: Touched, into: Float32Array[]): void {
  const { collection = '', tenant, vector, vector_bytes, vectors = [], properties } = object
  checkUuid(object.uuid ?? '')
  touch(touched, collection, tenant)
  if (properties !== undefined) readProperties(properties, touched, tenant)
  if (sizeOf(vector) > 0 && sizeOf(vector_bytes) > 0)
    fail('call-ambiguous', 'an object with a vector in two forms', 'Send the vector once: in vector_bytes.')
  if (vector !== undefined && vector.length > 0) push(into, plain(vector))
  if (vector_bytes !== undefined && vector_bytes.length > 0) push(into, floatsOf(vector_bytes))
  // Of two with one name the server keeps the last.
  if (vectors.length > 1 && new Set(vectors.map(({ name }) => name)).size < vectors.length)
    fail('call-ambiguous', 'an object with two vectors of one name', 'Write objects with multi-vectors one by one: insert.')
  for (const one of vectors) readVectors(one, into)
}

function readProperties(properties: Properties, touched: Touched, tenant: string | undefined): void {
  for (const { uuids = [] } of properties.single_target_ref_props ?? []) {
    for (const id of uuids) checkUuid(id)
    touchEvery(touched, tenant)
  }
  for (const { uuids = [], target_collection = '' } of properties.multi_target_ref_props ?? []) {
    for (const id of uuids) checkUuid(id)
    touch(touched, target_collection, tenant)
  }
  const referred: (string | undefined)[] = []
  readObjectProperties(properties, referred)
  for (const one of referred) touchReferred(touched, one, tenant)
}

const REFERENCE = table(
  'BatchReference',
  text(1, 'name'),
  text(2, 'from_collection'),
  text(3, 'from_uuid'),
  text(4, 'to_collection'),
  text(5, 'to_uuid'),
  text(6, 'tenant')
)

const REFERENCES = table(
  'BatchReferencesRequest',
  many(1, 'references', () => REFERENCE),
  enumeration(2, 'consistency_level', LEVELS)
)

/** The server puts collection, id and name together to beacons and takes these apart again: so each must be just what it is. */
export const readGrpcReferences = readerOf(REFERENCES, ({ references = [] }): Facts => {
  if (references.length === 0) fail('call-unreadable', 'the batch has no references')
  if (references.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} references`)
  const touched = nothingTouched()
  for (const { name = '', from_collection = '', from_uuid = '', to_collection, to_uuid = '', tenant } of references) {
    checkProperty(name)
    checkUuid(from_uuid)
    checkUuid(to_uuid)
    touch(touched, from_collection, tenant)
    touchReferred(touched, to_collection === undefined ? undefined : checkClass(to_collection), tenant)
  }
  return { shape: { ...NO_SHAPE, records: references.length }, targets: targetsOf(touched) }
})
