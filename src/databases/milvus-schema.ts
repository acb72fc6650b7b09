/**
 * The messages about collections, partitions and indexes, and those that clients send when they start. Left out, so that the reader
 * refuses them: external collections (`external_source`), which read other stores, and file resources.
 */
import { base, collection, database, FUNCTION, PAIR, partition } from './milvus-messages.ts'
import {
  bigint,
  bigints,
  bool,
  bytes,
  double,
  enumeration,
  float,
  inOneof,
  int,
  int32,
  type MessageTable,
  many,
  map,
  one,
  type ProtoMessage,
  table,
  text,
  texts
} from './protobuf-fields.ts'

const properties = (number: number) => many(number, 'properties', () => PAIR)
const names = [base, database, collection] as const

/** Collection and nothing else: drop, release, statistics. */
export const COLLECTION = table('CollectionRequest', ...names)
export const HAS_COLLECTION = table('HasCollectionRequest', ...names, bigint(4, 'time_stamp'))
export const DESCRIBE_COLLECTION = table('DescribeCollectionRequest', ...names, int(4, 'collectionID'), bigint(5, 'time_stamp'))
export const LOAD_COLLECTION = table(
  'LoadCollectionRequest',
  ...names,
  int32(4, 'replica_number'),
  texts(5, 'resource_groups'),
  bool(6, 'refresh'),
  texts(7, 'load_fields'),
  bool(8, 'skip_load_dynamic_field'),
  map(9, 'load_params', text(2, 'value'))
)
export const SHOW_COLLECTIONS = table(
  'ShowCollectionsRequest',
  base,
  database,
  bigint(3, 'time_stamp'),
  enumeration(4, 'type', [0, 1]),
  texts(5, 'collection_names')
)
export const CREATE_COLLECTION = table(
  'CreateCollectionRequest',
  ...names,
  bytes(4, 'schema'),
  int32(5, 'shards_num'),
  enumeration(6, 'consistency_level'),
  properties(7),
  int(8, 'num_partitions')
)
export const FLUSH = table('FlushRequest', base, database, texts(3, 'collection_names'))

/** Both have the names in another order than all the rest. */
export const LOAD_STATE = table('GetLoadStateRequest', base, text(2, 'collection_name'), texts(3, 'partition_names'), text(4, 'db_name'))

/** Create, drop, has and statistics of a partition. */
export const PARTITION = table('PartitionRequest', ...names, partition)
export const PARTITIONS = table('ReleasePartitionsRequest', ...names, texts(4, 'partition_names'))
export const LOAD_PARTITIONS = table(
  'LoadPartitionsRequest',
  ...names,
  texts(4, 'partition_names'),
  int32(5, 'replica_number'),
  texts(6, 'resource_groups'),
  bool(7, 'refresh'),
  texts(8, 'load_fields'),
  bool(9, 'skip_load_dynamic_field'),
  map(10, 'load_params', text(2, 'value'))
)
export const SHOW_PARTITIONS = table(
  'ShowPartitionsRequest',
  ...names,
  int(4, 'collectionID'),
  texts(5, 'partition_names'),
  enumeration(6, 'type', [0, 1])
)

export const CREATE_INDEX = table(
  'CreateIndexRequest',
  ...names,
  text(4, 'field_name'),
  many(5, 'extra_params', () => PAIR),
  text(6, 'index_name')
)
export const DROP_INDEX = table('DropIndexRequest', ...names, text(4, 'field_name'), text(5, 'index_name'))
export const DESCRIBE_INDEX = table('DescribeIndexRequest', ...names, text(4, 'field_name'), text(5, 'index_name'), bigint(6, 'timestamp'))
export const INDEX_STATISTICS = table('GetIndexStatisticsRequest', ...names, text(4, 'index_name'), bigint(5, 'timestamp'))

const CLIENT = table(
  'ClientInfo',
  text(1, 'sdk_type'),
  text(2, 'sdk_version'),
  text(3, 'local_time'),
  text(4, 'user'),
  text(5, 'host'),
  map(6, 'reserved', text(2, 'value'))
)
const client = (number: number) => one(number, 'client_info', () => CLIENT)
export const NOTHING = table('GetVersionRequest')
export const CONNECT = table('ConnectRequest', base, client(2))
const METRICS = table(
  'Metrics',
  int(1, 'request_count'),
  int(2, 'success_count'),
  int(3, 'error_count'),
  double(4, 'avg_latency_ms'),
  double(5, 'p99_latency_ms'),
  double(6, 'max_latency_ms')
)
const OPERATION_METRICS = table(
  'OperationMetrics',
  text(1, 'operation'),
  one(2, 'global', () => METRICS),
  map(
    3,
    'collection_metrics',
    one(2, 'value', () => METRICS)
  )
)
const REPLY = table('CommandReply', text(1, 'command_id'), bool(2, 'success'), text(3, 'error_message'), bytes(4, 'payload'))
export const HEARTBEAT = table(
  'ClientHeartbeatRequest',
  client(1),
  int(2, 'report_timestamp'),
  many(3, 'metrics', () => OPERATION_METRICS),
  many(4, 'command_replies', () => REPLY),
  text(5, 'config_hash'),
  int(6, 'last_command_timestamp')
)

const DEFAULT_VALUE = table(
  'ValueField',
  inOneof('data', bool(1, 'bool_data')),
  inOneof('data', int32(2, 'int_data')),
  inOneof('data', bigint(3, 'long_data')),
  inOneof('data', float(4, 'float_data')),
  inOneof('data', double(5, 'double_data')),
  inOneof('data', text(6, 'string_data')),
  inOneof('data', bytes(7, 'bytes_data')),
  inOneof('data', bigint(8, 'timestamptz_data'))
)
const TYPE: MessageTable<ProtoMessage> = table(
  'TypeSchema',
  inOneof('kind', enumeration(1, 'leaf_type')),
  inOneof(
    'kind',
    one(2, 'array_element', () => TYPE)
  ),
  many(3, 'type_params', () => PAIR),
  bool(4, 'nullable')
)
const FIELD = table(
  'FieldSchema',
  bigint(1, 'fieldID'),
  text(2, 'name'),
  bool(3, 'is_primary_key'),
  text(4, 'description'),
  enumeration(5, 'data_type'),
  many(6, 'type_params', () => PAIR),
  many(7, 'index_params', () => PAIR),
  bool(8, 'autoID'),
  enumeration(9, 'state'),
  enumeration(10, 'element_type'),
  one(11, 'default_value', () => DEFAULT_VALUE),
  bool(12, 'is_dynamic'),
  bool(13, 'is_partition_key'),
  bool(14, 'is_clustering_key'),
  bool(15, 'nullable'),
  bool(16, 'is_function_output'),
  one(18, 'type_schema', () => TYPE),
  bool(19, 'element_nullable')
)
const STRUCT_FIELD = table(
  'StructArrayFieldSchema',
  bigint(1, 'fieldID'),
  text(2, 'name'),
  text(3, 'description'),
  many(4, 'fields', () => FIELD),
  many(5, 'type_params', () => PAIR),
  bool(6, 'nullable')
)
export const COLLECTION_SCHEMA = table(
  'CollectionSchema',
  text(1, 'name'),
  text(2, 'description'),
  bool(3, 'autoID'),
  many(4, 'fields', () => FIELD),
  bool(5, 'enable_dynamic_field'),
  properties(6),
  many(7, 'functions', () => FUNCTION),
  text(8, 'dbName'),
  many(9, 'struct_array_fields', () => STRUCT_FIELD),
  int32(10, 'version'),
  bool(13, 'do_physical_backfill'),
  bigints(14, 'file_resource_ids'),
  bool(15, 'enable_namespace')
)
