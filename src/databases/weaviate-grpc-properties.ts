/** Properties of objects in gRPC messages: google.protobuf.Struct for what has no order, and lists beside it. References hide in both. */
import { fail } from './json-reader.ts'
import {
  bigints,
  bool,
  bools,
  bytes,
  double,
  doubles,
  enumeration,
  inOneof,
  type MessageTable,
  many,
  map,
  one,
  table,
  text,
  texts
} from './protobuf-fields.ts'
import { readBeacon } from './weaviate-names.ts'
import { isBeacon } from './weaviate-objects.ts'

interface Struct {
  readonly fields: ReadonlyMap<string, Value> | undefined
}

interface Value {
  readonly string_value: string | undefined
  readonly struct_value: Struct | undefined
  readonly list_value: List | undefined
}

interface List {
  readonly values: readonly Value[] | undefined
}

const VALUE: MessageTable<Value> = table(
  'Value',
  inOneof('kind', enumeration(1, 'null_value', [0])),
  inOneof('kind', double(2, 'number_value')),
  inOneof('kind', text(3, 'string_value')),
  inOneof('kind', bool(4, 'bool_value')),
  inOneof(
    'kind',
    one(5, 'struct_value', () => STRUCT)
  ),
  inOneof(
    'kind',
    one(6, 'list_value', () => LIST)
  )
)
const STRUCT: MessageTable<Struct> = table(
  'Struct',
  map(
    1,
    'fields',
    one(2, 'value', () => VALUE)
  )
)
const LIST: MessageTable<List> = table(
  'ListValue',
  many(1, 'values', () => VALUE)
)

const NUMBERS = table('NumberArrayProperties', doubles(1, 'values'), text(2, 'prop_name'), bytes(3, 'values_bytes'))
const INTEGERS = table('IntArrayProperties', bigints(1, 'values'), text(2, 'prop_name'))
const TEXTS = table('TextArrayProperties', texts(1, 'values'), text(2, 'prop_name'))
const BOOLEANS = table('BooleanArrayProperties', bools(1, 'values'), text(2, 'prop_name'))

interface NestedValue {
  readonly non_ref_properties: Struct | undefined
  readonly object_properties: readonly ObjectProperty[] | undefined
  readonly object_array_properties: readonly ObjectArrayProperty[] | undefined
}

interface ObjectProperty {
  readonly value: NestedValue | undefined
  readonly prop_name: string | undefined
}

interface ObjectArrayProperty {
  readonly values: readonly NestedValue[] | undefined
  readonly prop_name: string | undefined
}

const OBJECTS: MessageTable<ObjectProperty> = table(
  'ObjectProperties',
  one(1, 'value', () => NESTED),
  text(2, 'prop_name')
)
const OBJECT_ARRAYS: MessageTable<ObjectArrayProperty> = table(
  'ObjectArrayProperties',
  many(1, 'values', () => NESTED),
  text(2, 'prop_name')
)

/** The kinds of properties, whose numbers differ between an object and what is nested in it. */
export const VALUES = {
  struct: (number: number) => one(number, 'non_ref_properties', () => STRUCT),
  numbers: (number: number) => many(number, 'number_array_properties', () => NUMBERS),
  integers: (number: number) => many(number, 'int_array_properties', () => INTEGERS),
  texts: (number: number) => many(number, 'text_array_properties', () => TEXTS),
  booleans: (number: number) => many(number, 'boolean_array_properties', () => BOOLEANS),
  objects: (number: number) => many(number, 'object_properties', () => OBJECTS),
  objectArrays: (number: number) => many(number, 'object_array_properties', () => OBJECT_ARRAYS)
}

const NESTED: MessageTable<NestedValue> = table(
  'ObjectPropertiesValue',
  VALUES.struct(1),
  VALUES.numbers(2),
  VALUES.integers(3),
  VALUES.texts(4),
  VALUES.booleans(5),
  VALUES.objects(6),
  VALUES.objectArrays(7),
  texts(10, 'empty_list_props')
)

/** Adds to `referred` the class of each reference among the properties of an object; undefined where it names none. */
export function readObjectProperties(value: NestedValue, referred: (string | undefined)[]): void {
  // At the top, a property may be called what it likes.
  for (const one of value.non_ref_properties?.fields?.values() ?? []) readValue(one, referred)
  readNestedOnes(value, referred)
}

function readNestedOnes({ object_properties = [], object_array_properties = [] }: NestedValue, referred: (string | undefined)[]): void {
  for (const { value } of object_properties) if (value !== undefined) readNested(value, referred)
  for (const { values = [] } of object_array_properties) for (const value of values) readNested(value, referred)
}

function readNested(value: NestedValue, referred: (string | undefined)[]): void {
  readFields(value.non_ref_properties, referred)
  readNestedOnes(value, referred)
}

function readFields(struct: Struct | undefined, referred: (string | undefined)[]): void {
  for (const [name, value] of struct?.fields ?? []) {
    if (!isBeacon(name)) readValue(value, referred)
    else if (value.string_value === undefined) fail('call-unreadable', 'a beacon that is no text')
    else referred.push(readBeacon(value.string_value))
  }
}

function readValue({ struct_value, list_value }: Value, referred: (string | undefined)[]): void {
  readFields(struct_value, referred)
  for (const one of list_value?.values ?? []) readValue(one, referred)
}
