import { describe, expect, it } from 'vitest'
import { VECTORS_MAX } from '../../src/core/limits.ts'
import { API, type Call, COLLECTION, COLLECTIONS, DATABASE, ID, outcome, read } from './chroma-call.ts'

const base64 = (...floats: readonly number[]) => Buffer.from(Float32Array.from(floats).buffer).toString('base64')
const to = (operation: string) => `${COLLECTION}/${operation}`
const QUERY = { query_embeddings: [[1, 0.5]] }

interface Row extends Call {
  readonly name: string
  readonly want: string
}

/** Where Chroma 1.5.9 was tried, the name says what it does. */
const rows: Readonly<Record<string, readonly Row[]>> = {
  'the path': [
    { name: 'a call by canonical id', target: to('get'), body: {}, want: 'allowed' },
    {
      name: 'an id in capitals, the same collection to Chroma',
      target: `${COLLECTIONS}/${ID.toUpperCase()}/get`,
      body: {},
      want: 'call-ambiguous'
    },
    {
      name: 'an id without hyphens, the same to Chroma',
      target: `${COLLECTIONS}/${ID.replaceAll('-', '')}/get`,
      body: {},
      want: 'call-ambiguous'
    },
    { name: 'an id as a URN, the same to Chroma', target: `${COLLECTIONS}/urn%3Auuid%3A${ID}/get`, body: {}, want: 'call-ambiguous' },
    { name: 'an id in braces, the same to Chroma', target: `${COLLECTIONS}/%7B${ID}%7D/get`, body: {}, want: 'call-ambiguous' },
    { name: 'an id in unescaped braces', target: `${COLLECTIONS}/{${ID}}/get`, body: {}, want: 'call-ambiguous' },
    { name: 'a name where an id must stand', target: `${COLLECTIONS}/handbook/get`, body: {}, want: 'call-ambiguous' },
    { name: 'an id one digit short', target: `${COLLECTIONS}/${ID.slice(1)}/get`, body: {}, want: 'call-ambiguous' },
    {
      name: 'a tenant with an escaped letter, the same to Chroma',
      target: COLLECTIONS.replace('acme', 'acm%65'),
      method: 'GET',
      want: 'call-ambiguous'
    },
    { name: 'another tenant', target: COLLECTIONS.replace('acme', 'globex'), method: 'GET', want: 'allowed' },
    { name: 'a tenant of two letters', target: COLLECTIONS.replace('acme', 'ac'), method: 'GET', want: 'call-unreadable' },
    { name: 'a tenant with a space', target: COLLECTIONS.replace('acme', 'ac%20me'), method: 'GET', want: 'call-unreadable' },
    { name: 'a tenant outside of ASCII', target: COLLECTIONS.replace('acme', 'acm%C3%A9'), method: 'GET', want: 'call-unreadable' },
    { name: 'a tenant with two dots', target: COLLECTIONS.replace('acme', 'ac..me'), method: 'GET', want: 'call-unreadable' },
    {
      name: 'a database that names a topology, another one to Chroma',
      target: COLLECTIONS.replace('rag', 'eu1%2Brag'),
      method: 'GET',
      want: 'call-ambiguous'
    },
    { name: 'a collection named like an id', target: `${COLLECTIONS}/${ID}`, method: 'GET', want: 'allowed' },
    {
      name: 'by-id takes what looks like an operation for an id',
      target: `${COLLECTIONS}/by-id/count`,
      method: 'GET',
      want: 'call-ambiguous'
    },
    { name: 'a collection of the name by-id', target: `${COLLECTIONS}/by-id`, method: 'GET', want: 'allowed' },
    { name: 'a trailing slash', target: `${COLLECTIONS}/`, method: 'GET', want: 'call-ambiguous' },
    { name: 'a fragment, which Chroma cuts off', target: `${COLLECTIONS}/handbook#x`, method: 'GET', want: 'call-ambiguous' },
    { name: 'an absolute form, which Chroma serves', target: `http://other${COLLECTIONS}/handbook`, method: 'GET', want: 'call-ambiguous' },
    { name: 'an unknown operation', target: to('explode'), body: {}, want: 'operation-unknown' },
    { name: 'an operation in capitals', target: to('GET'), body: {}, want: 'operation-unknown' },
    { name: 'one segment more', target: `${to('get')}/more`, body: {}, want: 'operation-unknown' },
    { name: 'the root of the server', target: '/', method: 'GET', want: 'operation-unknown' },
    { name: 'its documentation', target: '/docs', method: 'GET', want: 'operation-unknown' },
    { name: 'the v1 API', target: '/api/v1/collections', method: 'GET', want: 'operation-unknown' },
    { name: 'an API to come', target: '/api/v3/heartbeat', method: 'GET', want: 'operation-unknown' }
  ],
  'the query string': [
    { name: 'a page of collections', target: `${COLLECTIONS}?limit=10&offset=20`, method: 'GET', want: 'allowed' },
    { name: 'a key twice', target: `${COLLECTIONS}?limit=10&limit=20`, method: 'GET', want: 'call-ambiguous' },
    { name: 'a key in capitals, ignored by Chroma', target: `${COLLECTIONS}?LIMIT=10`, method: 'GET', want: 'call-ambiguous' },
    { name: 'an unknown key, ignored by Chroma', target: `${COLLECTIONS}?where=1`, method: 'GET', want: 'call-unreadable' },
    { name: 'a leading zero', target: `${COLLECTIONS}?limit=010`, method: 'GET', want: 'call-unreadable' },
    { name: 'a negative count', target: `${COLLECTIONS}?limit=-1`, method: 'GET', want: 'call-unreadable' },
    { name: 'a count above u32', target: `${COLLECTIONS}?limit=4294967296`, method: 'GET', want: 'call-unreadable' },
    { name: 'the largest count', target: `${COLLECTIONS}?limit=4294967295`, method: 'GET', want: 'allowed' },
    { name: 'an empty count', target: `${COLLECTIONS}?limit=`, method: 'GET', want: 'call-unreadable' },
    { name: 'a known read_level', target: `${to('count')}?read_level=index_only`, method: 'GET', want: 'allowed' },
    { name: 'an unknown read_level', target: `${to('count')}?read_level=all`, method: 'GET', want: 'call-unreadable' },
    {
      name: 'the documented limit of a query, without effect in Chroma',
      target: `${to('query')}?limit=1`,
      body: QUERY,
      want: 'call-unreadable'
    },
    { name: 'a query string where none belongs', target: `${API}/heartbeat?x=1`, method: 'GET', want: 'call-unreadable' }
  ],
  'the message': [
    { name: 'JSON with its charset', body: {}, headers: { 'content-type': 'application/json; charset=utf-8' }, want: 'allowed' },
    {
      name: 'JSON in another charset, which Chroma ignores',
      body: {},
      headers: { 'content-type': 'application/json; charset=latin1' },
      want: 'call-ambiguous'
    },
    {
      name: 'JSON with another parameter',
      body: {},
      headers: { 'content-type': 'application/json; charset=utf-8; x=1' },
      want: 'call-ambiguous'
    },
    { name: 'another JSON type, read by Chroma', body: {}, headers: { 'content-type': 'application/vnd.x+json' }, want: 'call-ambiguous' },
    { name: 'no content type, read by Chroma', body: {}, headers: { 'content-type': undefined }, want: 'call-ambiguous' },
    { name: 'a text', body: {}, headers: { 'content-type': 'text/plain' }, want: 'call-ambiguous' },
    { name: 'two types in one header', body: {}, headers: { 'content-type': 'application/json, text/plain' }, want: 'call-ambiguous' },
    { name: 'gzip, which Chroma ignores', body: {}, headers: { 'content-encoding': 'gzip' }, want: 'call-ambiguous' },
    { name: 'an empty encoding', body: {}, headers: { 'content-encoding': '' }, want: 'call-ambiguous' },
    { name: 'no encoding by name', body: {}, headers: { 'content-encoding': 'identity' }, want: 'allowed' },
    { name: 'the right length', body: '{}', headers: { 'content-length': '2' }, want: 'allowed' },
    { name: 'a length that is another', body: '{}', headers: { 'content-length': '3' }, want: 'call-unreadable' },
    { name: 'chunks', body: {}, headers: { 'transfer-encoding': 'chunked' }, want: 'allowed' },
    { name: 'compressed chunks', body: {}, headers: { 'transfer-encoding': 'gzip, chunked' }, want: 'call-ambiguous' },
    { name: 'a kept connection', body: {}, headers: { connection: 'keep-alive' }, want: 'allowed' },
    { name: 'a connection header that takes others away', body: {}, headers: { connection: 'content-type' }, want: 'call-ambiguous' },
    { name: 'an upgrade to h2c', body: {}, headers: { upgrade: 'h2c' }, want: 'call-ambiguous' },
    { name: 'a method in lower case', method: 'post', body: {}, want: 'call-ambiguous' },
    { name: 'HEAD, which Chroma serves where it serves GET', target: COLLECTIONS, method: 'HEAD', want: 'operation-unknown' },
    { name: 'OPTIONS', target: COLLECTIONS, method: 'OPTIONS', want: 'operation-unknown' },
    { name: 'GET with a body, which Chroma ignores', target: COLLECTIONS, method: 'GET', body: {}, want: 'call-ambiguous' },
    { name: 'GET with an empty body', target: COLLECTIONS, method: 'GET', body: '', headers: { 'content-length': '0' }, want: 'allowed' },
    { name: 'DELETE with a body', target: `${COLLECTIONS}/handbook`, method: 'DELETE', body: {}, want: 'call-ambiguous' },
    { name: 'POST without a body', target: to('get'), want: 'call-unreadable' },
    { name: 'POST with an empty body', target: to('get'), body: '', want: 'call-unreadable' }
  ],
  'a query': [
    { name: 'with one embedding', target: to('query'), body: QUERY, want: 'allowed' },
    {
      name: 'with every key',
      target: to('query'),
      body: { ...QUERY, n_results: 3, ids: ['a'], where: { a: 1 }, where_document: { $contains: 'x' }, include: ['uris'] },
      want: 'allowed'
    },
    {
      name: 'with nulls, which are nothing',
      target: to('query'),
      body: { ...QUERY, n_results: null, ids: null, where: null, where_document: null },
      want: 'allowed'
    },
    { name: 'without embeddings', target: to('query'), body: { n_results: 3 }, want: 'call-unreadable' },
    { name: 'with an empty list of embeddings', target: to('query'), body: { query_embeddings: [] }, want: 'call-unreadable' },
    { name: 'with an empty embedding', target: to('query'), body: { query_embeddings: [[]] }, want: 'call-unreadable' },
    { name: 'with a flat embedding', target: to('query'), body: { query_embeddings: [1, 2] }, want: 'call-unreadable' },
    {
      name: 'with a base64 embedding, refused by Chroma',
      target: to('query'),
      body: { query_embeddings: [base64(1, 2)] },
      want: 'call-unreadable'
    },
    {
      name: 'with 1e39, infinity to Chroma and so near to every record',
      target: to('query'),
      body: '{"query_embeddings":[[1e39,0]]}',
      want: 'call-unreadable'
    },
    { name: 'with text for the database to embed', target: to('query'), body: { ...QUERY, query_texts: ['x'] }, want: 'call-unreadable' },
    { name: 'with a key in capitals, ignored by Chroma', target: to('query'), body: { ...QUERY, N_results: 1 }, want: 'call-ambiguous' },
    {
      name: 'with a key twice',
      target: to('query'),
      body: '{"query_embeddings":[[1]],"n_results":1,"n_results":900}',
      want: 'call-ambiguous'
    },
    { name: 'with a count as a float', target: to('query'), body: '{"query_embeddings":[[1]],"n_results":1.0}', want: 'call-unreadable' },
    { name: 'with a negative count', target: to('query'), body: { ...QUERY, n_results: -1 }, want: 'call-unreadable' },
    { name: 'with the body as an array', target: to('query'), body: '[null,[[1]]]', want: 'call-unreadable' },
    {
      name: 'with include as Chroma also reads it: {"embeddings":null} for "embeddings"',
      target: to('query'),
      body: { ...QUERY, include: [{ embeddings: null }] },
      want: 'call-unreadable'
    },
    { name: 'with include null', target: to('query'), body: { ...QUERY, include: null }, want: 'call-unreadable' },
    { name: 'with an unknown include', target: to('query'), body: { ...QUERY, include: ['data'] }, want: 'call-unreadable' },
    { name: 'with an include in capitals', target: to('query'), body: { ...QUERY, include: ['Embeddings'] }, want: 'call-unreadable' },
    { name: 'with an id that is a number', target: to('query'), body: { ...QUERY, ids: [1] }, want: 'call-unreadable' }
  ],
  'a filter': [
    ...[
      { name: 'short equality', where: { a: 'x' } },
      { name: 'a boolean', where: { a: true } },
      { name: 'an operator', where: { a: { $gte: 1.5 } } },
      { name: 'a set', where: { a: { $nin: ['x', 'y'] } } },
      { name: 'a set of a float and an integer, more floats to Chroma', where: { a: { $in: [1.5, 1, 1e-7] } } },
      { name: 'array contents', where: { a: { $contains: 1 } } },
      { name: 'a pattern', where: { '#document': { $regex: 'a.*' } } },
      { name: 'a tree', where: { $and: [{ a: 1 }, { $or: [{ b: { $ne: 'x' } }, { c: { $lt: 2 } }] }] } }
    ].map(({ name, where }) => ({ name, body: { where }, want: 'allowed' })),
    ...[
      { name: 'nothing', where: {} },
      { name: 'two keys', where: { a: 1, b: 2 } },
      { name: 'two operators', where: { a: { $gt: 1, $lt: 2 } } },
      { name: 'an operator in the place of a key', where: { $gt: 1 } },
      { name: 'an unknown operator', where: { a: { $like: 'x' } } },
      { name: 'a composite that is no list', where: { $and: { a: 1 } } },
      { name: 'an empty set', where: { a: { $in: [] } } },
      { name: 'a set of two types', where: { a: { $in: [1, 'x'] } } },
      { name: 'a set of an integer and a float', where: { a: { $in: [1, 1.5] } } },
      { name: 'a set of an integer and a float with exponent', where: { a: { $in: [1, 1e-7] } } },
      { name: 'null for a value', where: { a: null } },
      { name: 'an array for a value', where: { a: [1] } },
      { name: 'a text for an order', where: { a: { $gt: 'x' } } },
      { name: 'a list', where: [{ a: 1 }] },
      { name: 'JSON in a string', where: '{"a":1}' },
      { name: 'true', where: true }
    ].map(({ name, where }) => ({ name, body: { where }, want: 'call-unreadable' })),
    { name: 'an empty $and, every record to Chroma', body: { where: { $and: [] } }, want: 'call-ambiguous' },
    { name: 'an empty $and deep down', body: { where: { $or: [{ a: 1 }, { $and: [] }] } }, want: 'call-ambiguous' },
    { name: 'an empty $or', body: { where: { $or: [] } }, want: 'call-ambiguous' },
    { name: 'a key twice, the last one to Chroma', body: '{"where":{"a":1,"a":2}}', want: 'call-ambiguous' },
    { name: 'documents', body: { where_document: { $and: [{ $contains: 'x' }, { $not_regex: 'y' }] } }, want: 'allowed' },
    { name: 'documents: an empty $and, every record to Chroma', body: { where_document: { $and: [] } }, want: 'call-ambiguous' },
    { name: 'documents: a field', body: { where_document: { a: 'x' } }, want: 'call-unreadable' },
    { name: 'documents: a number', body: { where_document: { $contains: 1 } }, want: 'call-unreadable' },
    { name: 'documents: nothing', body: { where_document: {} }, want: 'call-unreadable' },
    { name: 'a tree as deep as one body may be', body: { where: nested(14) }, want: 'allowed' },
    { name: 'a tree deeper than that', body: { where: nested(16) }, want: 'call-too-large' }
  ],
  'a write': [
    {
      name: 'add with arrays',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1, 2]], documents: ['x'], metadatas: [{ a: 1 }], uris: [null] },
      want: 'allowed'
    },
    { name: 'add with base64', target: to('add'), body: { ids: ['a'], embeddings: [base64(1, 2)] }, want: 'allowed' },
    { name: 'add with both', target: to('add'), body: { ids: ['a', 'b'], embeddings: [base64(1, 2), [1, 2]] }, want: 'call-unreadable' },
    { name: 'add without embeddings', target: to('add'), body: { ids: ['a'], documents: ['x'] }, want: 'call-unreadable' },
    { name: 'add with null for the embeddings', target: to('add'), body: { ids: ['a'], embeddings: null }, want: 'call-unreadable' },
    { name: 'add with null for one embedding', target: to('add'), body: { ids: ['a'], embeddings: [null] }, want: 'call-unreadable' },
    { name: 'add without ids', target: to('add'), body: { embeddings: [[1]] }, want: 'call-unreadable' },
    { name: 'add with null for the ids', target: to('add'), body: { ids: null, embeddings: [] }, want: 'call-unreadable' },
    { name: 'add with an id too few', target: to('add'), body: { ids: ['a'], embeddings: [[1], [2]] }, want: 'call-unreadable' },
    {
      name: 'add with the body as an array, which Chroma takes',
      target: to('add'),
      body: '[["a"],[[1,0]],["x"],null,null]',
      want: 'call-unreadable'
    },
    {
      name: 'upsert with the body as an array, which Chroma takes',
      target: to('upsert'),
      body: '[["a"],[[1,0]],["x"],null,null]',
      want: 'call-unreadable'
    },
    {
      name: 'add with NaN in base64',
      target: to('add'),
      body: { ids: ['a'], embeddings: [base64(Number.NaN, 2)] },
      want: 'call-unreadable'
    },
    {
      name: 'add with a metadata key twice, the last one to Chroma',
      target: to('add'),
      body: '{"ids":["a"],"embeddings":[[1]],"metadatas":[{"t":"x","t":"y"}]}',
      want: 'call-ambiguous'
    },
    {
      name: 'add with a nested metadata',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: { b: 1 } }] },
      want: 'call-unreadable'
    },
    {
      name: 'add with a sparse vector in the metadata',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: { '#type': 'sparse_vector', indices: [1], values: [0.5] } }] },
      want: 'allowed'
    },
    {
      name: 'add with another typed value in the metadata',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: { '#type': 'secret', indices: [1], values: [0.5] } }] },
      want: 'call-unreadable'
    },
    {
      name: 'add with a list in the metadata',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: ['x', 'y'] }] },
      want: 'allowed'
    },
    {
      name: 'add with a list of lists in the metadata',
      target: to('add'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: [['x']] }] },
      want: 'call-unreadable'
    },
    {
      name: 'upsert that takes a metadata key away',
      target: to('upsert'),
      body: { ids: ['a'], embeddings: [[1]], metadatas: [{ a: null }] },
      want: 'allowed'
    },
    { name: 'update of documents only', target: to('update'), body: { ids: ['a'], documents: ['x'] }, want: 'allowed' },
    {
      name: 'update with null for an embedding',
      target: to('update'),
      body: { ids: ['a', 'b'], embeddings: [null, [1, 2]] },
      want: 'allowed'
    },
    { name: 'update with null for the embeddings', target: to('update'), body: { ids: ['a'], embeddings: null }, want: 'allowed' },
    { name: 'update without ids', target: to('update'), body: { documents: ['x'] }, want: 'call-unreadable' },
    { name: 'the most records', target: to('update'), body: { ids: Array(VECTORS_MAX).fill('a') }, want: 'allowed' },
    { name: 'one record more', target: to('update'), body: { ids: Array(VECTORS_MAX + 1).fill('a') }, want: 'call-too-large' }
  ],
  'a delete': [
    { name: 'by ids', target: to('delete'), body: { ids: ['a'] }, want: 'allowed' },
    { name: 'by filter', target: to('delete'), body: { where: { a: 1 }, limit: 5 }, want: 'allowed' },
    { name: 'by documents', target: to('delete'), body: { where_document: { $contains: 'x' } }, want: 'allowed' },
    { name: 'of nothing in particular', target: to('delete'), body: {}, want: 'call-ambiguous' },
    { name: 'with nulls', target: to('delete'), body: { ids: null, where: null, where_document: null }, want: 'call-ambiguous' },
    { name: 'with an empty list of ids', target: to('delete'), body: { ids: [] }, want: 'call-ambiguous' },
    { name: 'with an empty list of ids and a filter', target: to('delete'), body: { ids: [], where: { a: 1 } }, want: 'call-ambiguous' },
    {
      name: 'with a filter that Chroma finds true for every record',
      target: to('delete'),
      body: { where: { $and: [] } },
      want: 'call-ambiguous'
    },
    { name: 'with an empty filter', target: to('delete'), body: { where: {} }, want: 'call-unreadable' },
    { name: 'with a limit only', target: to('delete'), body: { limit: 1 }, want: 'call-ambiguous' }
  ],
  'a definition': [
    {
      name: 'a collection',
      target: COLLECTIONS,
      body: { name: 'handbook', get_or_create: true, metadata: { a: 1 }, configuration: { hnsw: { space: 'l2' } }, schema: null },
      want: 'allowed'
    },
    { name: 'a collection without a name', target: COLLECTIONS, body: { get_or_create: true }, want: 'call-unreadable' },
    { name: 'a collection with a name of two letters', target: COLLECTIONS, body: { name: 'ab' }, want: 'call-unreadable' },
    { name: 'a collection with a line break in its name', target: COLLECTIONS, body: { name: 'abc\n' }, want: 'call-unreadable' },
    { name: 'a collection in a topology, which Chroma makes', target: COLLECTIONS, body: { name: 'abc+def' }, want: 'call-ambiguous' },
    { name: 'a collection with its name twice', target: COLLECTIONS, body: '{"name":"aaa","name":"bbb"}', want: 'call-ambiguous' },
    {
      name: 'a collection in a body that is an array, which Chroma takes',
      target: COLLECTIONS,
      body: '["handbook",null,null,null,true]',
      want: 'call-unreadable'
    },
    {
      name: 'a collection with an unknown key, ignored by Chroma',
      target: COLLECTIONS,
      body: { name: 'handbook', tenant: 'globex' },
      want: 'call-unreadable'
    },
    { name: 'get_or_create as a number', target: COLLECTIONS, body: { name: 'handbook', get_or_create: 1 }, want: 'call-unreadable' },
    {
      name: 'a duplicate deep in the configuration',
      target: COLLECTIONS,
      body: '{"name":"handbook","configuration":{"hnsw":{"space":"l2","space":"ip"}}}',
      want: 'call-ambiguous'
    },
    { name: 'a rename', target: COLLECTION, method: 'PUT', body: { new_name: 'manual' }, want: 'allowed' },
    { name: 'a rename to what is no name', target: COLLECTION, method: 'PUT', body: { new_name: '../x' }, want: 'call-unreadable' },
    { name: 'a change of metadata', target: COLLECTION, method: 'PUT', body: { new_metadata: { a: 1 }, new_name: null }, want: 'allowed' },
    { name: 'a change by name', target: `${COLLECTIONS}/handbook`, method: 'PUT', body: { new_name: 'manual' }, want: 'call-ambiguous' },
    {
      name: 'a change in a body that is an array, which Chroma takes',
      target: COLLECTION,
      method: 'PUT',
      body: '["manual",null,null]',
      want: 'call-unreadable'
    },
    { name: 'a fork, which copies every record unseen', target: to('fork'), body: { new_name: 'copy' }, want: 'operation-unknown' },
    { name: 'a database', target: `${API}/tenants/acme/databases`, body: { name: 'rag2' }, want: 'allowed' },
    { name: 'a database of two letters', target: `${API}/tenants/acme/databases`, body: { name: 'ra' }, want: 'call-unreadable' },
    {
      name: 'a database in a body that is an array, which Chroma takes',
      target: `${API}/tenants/acme/databases`,
      body: '["rag2"]',
      want: 'call-unreadable'
    }
  ],
  'what is never served': [
    { name: 'a new tenant', target: `${API}/tenants`, body: { name: 'evil' }, want: 'operation-unknown' },
    {
      name: 'a resource name for a tenant',
      target: `${API}/tenants/acme`,
      method: 'PATCH',
      body: { resource_name: 'globex' },
      want: 'operation-unknown'
    },
    { name: 'a look at one’s tenant', target: `${API}/tenants/acme`, method: 'GET', want: 'allowed' },
    { name: 'reset', target: `${API}/reset`, body: '', want: 'operation-unknown' },
    {
      name: 'a collection by resource name',
      target: `${API}/collections/globex%3Arag%3Ahandbook`,
      method: 'GET',
      want: 'operation-unknown'
    },
    {
      name: 'attaching a function',
      target: to('functions/attach'),
      body: { name: 'f', function_id: 'statistics', output_collection: 'out' },
      want: 'operation-unknown'
    },
    { name: 'looking at a function', target: to('functions/f'), method: 'GET', want: 'operation-unknown' },
    { name: 'detaching a function', target: to('attached_functions/f/detach'), body: { delete_output: true }, want: 'operation-unknown' }
  ]
}

function nested(depth: number): unknown {
  return depth === 0 ? { a: 1 } : { $and: [nested(depth - 1)] }
}

describe.each(Object.entries(rows))('%s', (_, group) => {
  it.each(group)('$name: $want', ({ want, ...call }) => {
    expect(outcome(call)).toBe(want)
  })
})

describe('a refusal', () => {
  it('says what to do, and nothing that the caller did not send', () => {
    const byName = read({ target: `${COLLECTIONS}/handbook/get`, body: {} })
    expect(byName).toMatchObject({ reason: { remedy: expect.stringContaining('collection id') } })
    const unknown = read({ target: to('query'), body: { ...QUERY, texts: 1 } })
    expect(unknown).toMatchObject({ reason: { because: 'unknown key "texts" in the body', remedy: 'Leave out the key "texts".' } })
  })
})

describe('a call that is read', () => {
  const tenant = { kind: 'path', tenant: 'acme' } as const
  const byId = { tenant, namespace: 'rag', collection: { kind: 'id', id: ID } } as const
  const named = (name: string) => ({ tenant, namespace: 'rag', collection: { kind: 'name', name } }) as const
  const every = { tenant, namespace: 'rag', collection: { kind: 'every' } } as const
  const none = { queries: 0, topK: 0, records: 0, vectorsOut: false, dimensions: 0, vectors: [] }
  const floats = (...values: readonly number[]) => Float32Array.from(values)

  const calls: readonly { name: string; call: Call; want: Record<string, unknown> }[] = [
    {
      name: 'heartbeat is a probe',
      call: { method: 'GET', target: `${API}/heartbeat` },
      want: { endpoint: 'system.heartbeat', operation: 'probe', targets: [], shape: none }
    },
    {
      name: 'a query has its default',
      call: { target: to('query'), body: QUERY },
      want: {
        endpoint: 'records.query',
        operation: 'search',
        targets: [byId],
        shape: { ...none, queries: 1, topK: 10, dimensions: 2, vectors: [floats(1, 0.5)] }
      }
    },
    {
      name: 'a query with everything',
      call: {
        target: to('query'),
        body: { query_embeddings: [[1], [2]], n_results: 7, ids: ['a', 'b', 'c'], include: ['documents', 'embeddings', 'embeddings'] }
      },
      want: { shape: { queries: 2, topK: 7, records: 3, vectorsOut: true, dimensions: 1, vectors: [floats(1), floats(2)] } }
    },
    {
      name: 'an empty get is everything',
      call: { target: to('get'), body: {} },
      want: { operation: 'read', targets: [byId], shape: { ...none, topK: Number.POSITIVE_INFINITY } }
    },
    { name: 'a get with a limit', call: { target: to('get'), body: { limit: 5, offset: 2 } }, want: { shape: { ...none, topK: 5 } } },
    {
      name: 'a get with ids',
      call: { target: to('get'), body: { ids: ['a', 'b'], include: ['embeddings'] } },
      want: { shape: { ...none, topK: 2, records: 2, vectorsOut: true } }
    },
    {
      name: 'a get with more ids than its limit',
      call: { target: to('get'), body: { ids: ['a', 'b'], limit: 1 } },
      want: { shape: { ...none, topK: 1, records: 2 } }
    },
    { name: 'a get of no ids returns nothing', call: { target: to('get'), body: { ids: [] } }, want: { shape: none } },
    {
      name: 'a write has its vectors',
      call: { target: to('add'), body: { ids: ['a', 'b'], embeddings: [base64(1, 2, 3), base64(4, 5, 6)] } },
      want: {
        endpoint: 'records.add',
        operation: 'write',
        shape: { ...none, records: 2, dimensions: 3, vectors: [floats(1, 2, 3), floats(4, 5, 6)] }
      }
    },
    {
      name: 'an update has those that it brings',
      call: { target: to('update'), body: { ids: ['a', 'b'], embeddings: [null, [1, 2]] } },
      want: { endpoint: 'records.update', shape: { ...none, records: 2, dimensions: 2, vectors: [floats(1, 2)] } }
    },
    {
      name: 'a delete by ids names its records',
      call: { target: to('delete'), body: { ids: ['a', 'b'] } },
      want: { operation: 'delete', targets: [byId], shape: { ...none, records: 2 } }
    },
    {
      name: 'a delete by filter names none',
      call: { target: to('delete'), body: { where: { a: 1 } } },
      want: { operation: 'delete', shape: none }
    },
    {
      name: 'a count',
      call: { method: 'GET', target: to('count') },
      want: { endpoint: 'records.count', operation: 'read', targets: [byId] }
    },
    {
      name: 'a rename is about both names',
      call: { method: 'PUT', target: COLLECTION, body: { new_name: 'manual' } },
      want: { operation: 'define', targets: [byId, named('manual')] }
    },
    {
      name: 'a change without rename is about one',
      call: { method: 'PUT', target: COLLECTION, body: { new_metadata: { a: 1 } } },
      want: { operation: 'define', targets: [byId] }
    },
    {
      name: 'a creation is about the new name',
      call: { target: COLLECTIONS, body: { name: 'handbook', get_or_create: true } },
      want: { endpoint: 'collection.create', operation: 'define', targets: [named('handbook')] }
    },
    {
      name: 'a drop is by name',
      call: { method: 'DELETE', target: `${COLLECTIONS}/handbook` },
      want: { operation: 'drop', targets: [named('handbook')] }
    },
    {
      name: 'a listing is about every collection',
      call: { method: 'GET', target: COLLECTIONS },
      want: { operation: 'observe', targets: [every] }
    },
    {
      name: 'a look by name',
      call: { method: 'GET', target: `${COLLECTIONS}/handbook` },
      want: { operation: 'observe', targets: [named('handbook')] }
    },
    {
      name: 'a look by id',
      call: { method: 'GET', target: `${COLLECTIONS}/by-id/${ID}` },
      want: { endpoint: 'collection.get-by-id', operation: 'observe', targets: [byId] }
    },
    {
      name: 'a dropped database takes every collection with it',
      call: { method: 'DELETE', target: DATABASE },
      want: { operation: 'drop', targets: [every] }
    },
    {
      name: 'a new database',
      call: { target: `${API}/tenants/acme/databases`, body: { name: 'new' } },
      want: { operation: 'define', targets: [{ tenant, namespace: 'new', collection: { kind: 'none' } }] }
    },
    {
      name: 'a look at a tenant',
      call: { method: 'GET', target: `${API}/tenants/acme` },
      want: { operation: 'observe', targets: [{ tenant, namespace: undefined, collection: { kind: 'none' } }] }
    }
  ]
  it.each(calls)('$name', ({ call, want }) => {
    expect(read(call)).toMatchObject({ ok: true, value: { database: 'chroma', ...want } })
  })
})
