/** Every RPC of Milvus that is refused on purpose, by what speaks against it, and the REST interface. */
import type { RefusedRoute } from './dialect.ts'

interface Group {
  readonly refused: string
  readonly remedy: string
  readonly methods: string
}

const OPERATORS = 'Ask the operators of the database.'

const GROUPS: readonly Group[] = [
  {
    refused: 'it names collections or segments by ids, which lead into any database',
    remedy: 'Name one collection by its name.',
    methods:
      'BatchDescribeCollection GetFlushState GetPersistentSegmentInfo GetQuerySegmentInfo GetReplicas ListIndexedSegment DescribeSegmentIndexData'
  },
  {
    refused: 'an alias can point a name that policy knows at any collection',
    remedy: 'Name the collection itself.',
    methods: 'CreateAlias DropAlias AlterAlias DescribeAlias ListAliases RenameCollection'
  },
  {
    refused: 'it changes the schema or the settings under the records of whoever has them',
    remedy: OPERATORS,
    methods:
      'AlterCollection AlterCollectionField AddCollectionFunction AlterCollectionFunction DropCollectionFunction AddCollectionField ' +
      'AddCollectionStructField AlterCollectionSchema AlterIndex BatchUpdateManifest'
  },
  {
    refused: 'it empties a collection and leaves the name',
    remedy: 'Delete records by a filter, or drop the collection.',
    methods: 'TruncateCollection'
  },
  {
    refused: 'databases are made, changed and listed by operators',
    remedy: OPERATORS,
    methods: 'CreateDatabase DropDatabase ListDatabases AlterDatabase DescribeDatabase'
  },
  {
    refused: 'policy knows no namespaces of Milvus',
    remedy: 'Use a database, a collection or a partition for each tenant.',
    methods: 'CreateNamespace DescribeNamespace ListNamespaces DropNamespace HasNamespace GetNamespaceStats'
  },
  {
    refused: 'it works on the whole cluster',
    remedy: OPERATORS,
    methods:
      'FlushAll GetFlushAllState Prewarm DescribePrewarmTask Dummy RegisterLink GetMetrics GetComponentStates LoadBalance AllocTimestamp ' +
      'GetCompactionState ManualCompaction GetCompactionStateWithPlans CreateResourceGroup DropResourceGroup UpdateResourceGroups ' +
      'TransferNode TransferReplica ListResourceGroups DescribeResourceGroup'
  },
  {
    refused: 'it reads or writes object stores and files unseen',
    remedy: 'Insert records through the gateway.',
    methods:
      'Import GetImportState ListImportTasks AddFileResource RemoveFileResource ListFileResources RefreshExternalCollection ' +
      'GetRefreshExternalCollectionProgress ListRefreshExternalCollectionJobs'
  },
  {
    refused: 'a snapshot holds every tenant of its collection',
    remedy: OPERATORS,
    methods:
      'CreateSnapshot DropSnapshot ListSnapshots DescribeSnapshot RestoreSnapshot RestoreExternalSnapshot ExportSnapshot GetExportSnapshotState ' +
      'GetRestoreSnapshotState ListRestoreSnapshotJobs PinSnapshotData UnpinSnapshotData'
  },
  {
    refused: "users, roles and row policies are the operators' own",
    remedy: OPERATORS,
    methods:
      'CreateCredential UpdateCredential DeleteCredential ListCredUsers CreateRole AlterRole DropRole OperateUserRole SelectRole SelectUser ' +
      'OperatePrivilege OperatePrivilegeV2 SelectGrant BackupRBAC RestoreRBAC CreatePrivilegeGroup DropPrivilegeGroup ListPrivilegeGroups ' +
      'OperatePrivilegeGroup AddUserTags DeleteUserTags GetUserTags ListUsersWithTag CreateRowPolicy DropRowPolicy ListRowPolicies ' +
      'UpdateRowPolicy SetRLSPrincipalTags GetRLSPrincipalTags ListRLSPrincipals DeleteRLSPrincipalTags'
  },
  {
    refused: 'replication carries every tenant, in streams that no single check sees',
    remedy: OPERATORS,
    methods: 'ReplicateMessage UpdateReplicateConfiguration GetReplicateConfiguration GetReplicateInfo CreateReplicateStream DumpMessages'
  },
  {
    refused: 'it computes on what is not in the call, or for nobody',
    remedy: 'Search instead.',
    methods: 'CalcDistance RunAnalyzer ComputePhraseMatchSlop'
  }
]

const PACKAGE = '/milvus.proto.milvus'
const NO_REST = 'Use the gRPC interface, with an official SDK.'

export const MILVUS_REFUSED: readonly RefusedRoute[] = [
  ...GROUPS.flatMap(({ refused, remedy, methods }) =>
    methods.split(' ').map((method) => ({ name: method, method: 'POST', template: `${PACKAGE}.MilvusService/${method}`, refused, remedy }))
  ),
  ...['GetClientTelemetry', 'PushClientCommand', 'DeleteClientCommand'].map((method) => ({
    name: method,
    method: 'POST',
    template: `${PACKAGE}.ClientTelemetryService/${method}`,
    refused: 'it watches or steers other clients',
    remedy: OPERATORS
  })),
  {
    name: 'ProxyService.RegisterLink',
    method: 'POST',
    template: `${PACKAGE}.ProxyService/RegisterLink`,
    refused: 'it works on the whole cluster',
    remedy: OPERATORS
  },
  // Its JSON is read twice on the server, by two readers that take different ones of two equal keys.
  { name: 'rest-v2', method: '*', template: '/v2/vectordb/{*rest}', refused: 'the REST interface is not served', remedy: NO_REST },
  { name: 'rest-v1', method: '*', template: '/v1/vector/{*rest}', refused: 'the REST interface is not served', remedy: NO_REST },
  { name: 'rest-management', method: '*', template: '/api/v1/{*rest}', refused: 'the management interface is not served', remedy: NO_REST }
]
