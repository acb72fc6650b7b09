#!/usr/bin/env node
/**
 * `npm run bench:parsers`: what it costs to read a call of Qdrant as the database reads it, beside what a general reader costs for
 * the same bytes in the same run: JSON.parse, and what ts-proto generates. Exits 1 when a ratio is over its target.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import type { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import type { Inbound } from '../src/core/inbound.ts'
import { qdrant } from '../src/databases/qdrant.ts'
import { median } from './load.ts'

const HELP = 'npm run bench:parsers [-- rounds]: 60 rounds unless told'
const ROUNDS = 60
/** Until the compiler is done with all of them, which takes 10,000 calls where it has to share its core. */
const WARM_UP = 60
const DIMENSIONS = 1536
const BATCH = 100
/** Of each thing in one round. */
const CALLS = 200
/** Of what takes microseconds: fewer are over before the caches are warm, and one collection of garbage is half of them. */
const SHORT_CALLS = 1000
const FOLDER = join(import.meta.dirname, '../.run/bench-parsers')

const say = (line: string) => process.stdout.write(`${line}\n`)
process.exitCode = await main(process.argv.slice(2))

interface QueryPoints {
  readonly encode: (message: unknown) => BinaryWriter
  readonly decode: (input: BinaryReader | Uint8Array) => {
    readonly query?: { readonly nearest?: { readonly dense?: { readonly data: number[] } } }
  }
}

async function main(args: string[]): Promise<number> {
  const rounds = Number(args[0] ?? ROUNDS)
  if (args.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    say(HELP)
    return 2
  }
  const generated = await generate()
  say(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${rounds} rounds of ${CALLS} calls (gRPC: ${SHORT_CALLS}), ${DIMENSIONS} dimensions, median`
  )
  const vector = Array.from({ length: DIMENSIONS }, (_, at) => Math.fround(Math.sin(at) / 7))
  const search = { query: vector, limit: 10, with_payload: true, filter: { must: [{ key: 'tenant_id', match: { value: 'acme' } }] } }
  const json = Buffer.from(JSON.stringify(search))
  const many = Buffer.from(JSON.stringify({ searches: Array.from({ length: BATCH }, () => search) }))
  const message = generated
    .encode({
      collectionName: 'docs',
      query: { nearest: { dense: { data: vector } } },
      filter: { must: [{ field: { key: 'tenant_id', match: { keyword: 'acme' } } }] },
      limit: 10,
      withPayload: { enable: true }
    })
    .finish()
  const rest = inbound('/collections/docs/points/query', json, 'application/json')
  const batch = inbound('/collections/docs/points/query/batch', many, 'application/json')
  const grpc = inbound('/qdrant.Points/Query', framed(message), 'application/grpc+proto')
  const ours = (one: Inbound) => () => qdrant.readCall(one).ok
  const costs = measure(rounds, {
    // Right behind what it is compared with, not behind the garbage of others.
    rest: [ours(rest), CALLS],
    batch: [ours(batch), Math.ceil(CALLS / BATCH)],
    parse: [() => JSON.parse(json.toString('utf8')).limit === 10, CALLS],
    grpc: [ours(grpc), SHORT_CALLS],
    decode: [() => generated.decode(message).query?.nearest?.dense?.data.length === DIMENSIONS, SHORT_CALLS]
  })
  const rows: readonly [string, number, string, number, number][] = [
    ['REST search', costs.rest, 'JSON.parse of the text', costs.parse, 0.7],
    ['gRPC search', costs.grpc, 'decode by ts-proto', costs.decode, 0.3],
    [`REST batch of ${BATCH} searches`, costs.batch, `${BATCH} × the one search`, BATCH * costs.rest, 1.2]
  ]
  let missed = 0
  for (const [name, own, beside, other, target] of rows) {
    const ratio = own / other
    if (!(ratio <= target)) missed++
    const verdict = ratio <= target ? '' : '  TOO SLOW'
    say(
      `  ${name.padEnd(24)} ${own.toFixed(1).padStart(8)} µs; ${beside.padEnd(24)} ${other.toFixed(1).padStart(8)} µs; ${ratio.toFixed(2)} ×, at most ${target}${verdict}`
    )
  }
  return missed === 0 ? 0 : 1
}

type Measured = readonly [call: () => boolean, calls: number]

/** Microseconds for one call of each; in turn within each round, so that a slow moment of the machine falls on all of them. */
function measure<K extends string>(rounds: number, all: Readonly<Record<K, Measured>>): Record<K, number> {
  const names = Object.keys(all) as K[]
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const name of names) {
      const [call, calls] = all[name]
      const began = process.hrtime.bigint()
      let accepted = 0
      for (let at = 0; at < calls; at++) if (call()) accepted++
      const micros = Number(process.hrtime.bigint() - began) / 1000 / calls
      // A bench of refusals would be a bench of nothing.
      if (accepted !== calls) throw new Error(`${name}: ${calls - accepted} of ${calls} calls were not read`)
      if (round >= 0) times[name].push(micros)
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<K, number>
}

function inbound(target: string, body: Uint8Array, type: string): Inbound {
  const headers = new Map([['content-type', type]])
  const peer = { peerCertificate: undefined, peerPrincipal: undefined, httpId: '1', strippedCredentials: [] }
  return { method: 'POST', target, authority: 'qdrant.test', headers, body, grpc: type.startsWith('application/grpc'), ...peer }
}

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** The reader that ts-proto generates for such a search, with the options of the messages in this repository. */
async function generate(): Promise<QueryPoints> {
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const require = createRequire(import.meta.url)
  const folderOf = (name: string) => dirname(require.resolve(`${name}/package.json`))
  const plugin = {
    local: join(folderOf('ts-proto'), 'protoc-gen-ts_proto'),
    out: FOLDER,
    opt: 'importSuffix=.ts,esModuleInterop=true,env=node'
  }
  const template = join(FOLDER, 'buf.gen.yaml')
  writeFileSync(template, JSON.stringify({ version: 'v2', plugins: [plugin] }))
  const buf = join(folderOf('@bufbuild/buf'), 'bin/buf')
  execFileSync(buf, ['generate', '--template', template, '--path', 'search-points.proto'], { cwd: import.meta.dirname, stdio: 'inherit' })
  const module = (await import(join(FOLDER, 'search-points.ts'))) as { QueryPoints: QueryPoints }
  return module.QueryPoints
}
