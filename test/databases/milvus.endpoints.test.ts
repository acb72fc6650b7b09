/** Every RPC of Milvus is served or refused on purpose. A newer proto file says what it adds: put its RPCs into the list and run this. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { milvus } from '../../src/databases/milvus.ts'
import { outcome, read } from './milvus-call.ts'

const list = JSON.parse(readFileSync(new URL('endpoints/milvus-2026-08.json', import.meta.url), 'utf8')) as {
  readonly grpc: readonly string[]
  readonly rest: readonly string[]
}
const rowsFor = (path: string) => milvus.routes.filter(({ template }) => template === path)

const SERVED = [
  'Connect GetVersion CheckHealth ClientHeartbeat',
  'Search HybridSearch Query Insert Upsert Delete',
  'ShowCollections CreateCollection DescribeCollection HasCollection GetCollectionStatistics LoadCollection GetLoadState',
  'GetLoadingProgress ReleaseCollection Flush DropCollection',
  'ShowPartitions CreatePartition HasPartition GetPartitionStatistics LoadPartitions ReleasePartitions DropPartition',
  'CreateIndex DescribeIndex GetIndexStatistics GetIndexState GetIndexBuildProgress DropIndex'
]
  .join(' ')
  .split(' ')

describe('the RPCs of Milvus', () => {
  it('are as many as the proto file has: 149, 4 of telemetry and 1 of the proxy', () => {
    expect(new Set(list.grpc).size).toBe(154)
  })

  it.each(list.grpc)('%s has exactly one row', (path) => {
    expect(rowsFor(path).map(({ name }) => name)).toHaveLength(1)
  })

  it.each(list.grpc)('%s is served exactly if it is on the short list', (path) => {
    const served = SERVED.includes(path.split('/')[2] ?? '')
    expect(rowsFor(path).some((row) => 'operation' in row)).toBe(served)
    if (!served) expect(outcome({ rpc: path })).toBe('operation-unknown')
  })

  it('are all that the table has, beside REST', () => {
    const extra = milvus.routes.filter(({ template }) => !list.grpc.includes(template)).map(({ name }) => name)
    expect(extra).toEqual(['rest-v2', 'rest-v1', 'rest-management'])
  })

  it('have names of their own', () => {
    expect(new Set(milvus.routes.map(({ name }) => name)).size).toBe(milvus.routes.length)
  })

  it.each(list.rest)('%s, of the REST interface, is refused with a remedy', (rpc) => {
    const result = read({ rpc, headers: { 'content-type': 'application/json' } })
    expect(!result.ok && [result.reason.kind, result.reason.remedy]).toEqual([
      'operation-unknown',
      'Use the gRPC interface, with an official SDK.'
    ])
  })

  it.each([
    ['an unknown RPC', '/milvus.proto.milvus.MilvusService/Nothing'],
    ['another case', '/milvus.proto.milvus.MilvusService/search'],
    ['another service', '/milvus.proto.milvus.milvusservice/Search'],
    ['a service of another package', '/milvus.proto.rootcoord.RootCoord/Search'],
    ['gRPC reflection, a stream', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'],
    ['the root', '/']
  ])('%s is refused without a row', (_, rpc) => {
    expect(outcome({ rpc })).toBe('operation-unknown')
  })

  it('are refused with any method but POST', () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'post', 'OPTIONS'])
      expect(outcome({ method, rpc: 'GetVersion' }), method).toBe('operation-unknown')
    expect(outcome({ rpc: 'GetVersion' })).toBe('allowed')
  })

  it('are refused with a query or another spelling of the path', () => {
    for (const rpc of ['GetVersion?x=1', 'GetVersion/', '%47etVersion', './GetVersion'])
      expect(outcome({ rpc }), rpc).toBe('call-ambiguous')
  })
})
