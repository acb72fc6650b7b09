/**
 * Registration entries at SPIRE's server, over the socket of its admin API: one for each service, told apart by the user that it runs as,
 * and one for each workload that the scenario plays. An entry that is there is brought up to date, so running it again changes nothing.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { Client, credentials } from '@grpc/grpc-js'
import { MEMBERS, type Member, NODE_ID, PLAYED, SVID_SECONDS, USERS } from './roster.ts'

const SERVICE = '/spire.api.server.entry.v1.Entry'
const DEADLINE_MS = 10_000
/** google.rpc.Code */
const [OK, ALREADY_EXISTS] = [0, 6]

interface Entry extends Member {
  /** Its id at the server: what is the same entry at the next run. */
  readonly entryId: string
}

function entries(): Entry[] {
  const services = Object.entries(MEMBERS).map(([name, member]) => ({ ...member, entryId: name }))
  const played = PLAYED.map((id) => ({
    id,
    user: USERS.scenario,
    entryId: `scenario${new URL(id).pathname.replaceAll('/', '-')}`
  }))
  return [...services, ...played]
}

/** @param socket of the admin API */
export async function registerEntries(socket: string, say: (line: string) => void): Promise<0> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  try {
    const wanted = entries()
    const created = await batch(client, 'BatchCreateEntry', wanted)
    const there = wanted.filter((_, at) => created[at]?.code === ALREADY_EXISTS)
    const updated = there.length === 0 ? [] : await batch(client, 'BatchUpdateEntry', there)
    const failed = [...created.filter(({ code }) => code !== OK && code !== ALREADY_EXISTS), ...updated.filter(({ code }) => code !== OK)]
    if (failed.length > 0) throw new Error(`SPIRE's server refused ${failed.length} entries: ${failed[0]?.message}`)
    say(`${wanted.length} entries: ${wanted.length - there.length} made, ${there.length} there already.`)
    return 0
  } finally {
    client.close()
  }
}

interface Status {
  readonly code: number
  readonly message: string
}

function batch(client: Client, method: string, wanted: readonly Entry[]): Promise<Status[]> {
  const request = new BinaryWriter()
  for (const entry of wanted) request.uint32(tag(1, 2)).bytes(entryBytes(entry))
  const { promise, resolve, reject } = Promise.withResolvers<Status[]>()
  client.makeUnaryRequest(
    `${SERVICE}/${method}`,
    (bytes: Uint8Array) => Buffer.from(bytes),
    readStatuses,
    request.finish(),
    { deadline: Date.now() + DEADLINE_MS },
    (error, value) => (error === null ? resolve(value ?? []) : reject(error))
  )
  return promise
}

/** spire.api.types.Entry. */
function entryBytes({ entryId, id, user, dns = [] }: Entry): Uint8Array {
  const entry = new BinaryWriter()
  entry.uint32(tag(1, 2)).string(entryId)
  entry.uint32(tag(2, 2)).bytes(idBytes(id))
  entry.uint32(tag(3, 2)).bytes(idBytes(NODE_ID))
  entry.uint32(tag(4, 2)).bytes(new BinaryWriter().uint32(tag(1, 2)).string('unix').uint32(tag(2, 2)).string(`uid:${user}`).finish())
  entry.uint32(tag(5, 0)).int32(SVID_SECONDS)
  for (const name of dns) entry.uint32(tag(10, 2)).string(name)
  return entry.finish()
}

/** spire.api.types.SPIFFEID. */
function idBytes(id: string): Uint8Array {
  const { hostname, pathname } = new URL(id)
  return new BinaryWriter().uint32(tag(1, 2)).string(hostname).uint32(tag(2, 2)).string(pathname).finish()
}

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType
}

/** Of a response: `repeated Result results = 1 { Status status = 1 { int32 code = 1; string message = 2 } … }`. */
function readStatuses(bytes: Uint8Array): Status[] {
  return fields(bytes, 1).map((result) => {
    const [status = new Uint8Array()] = fields(result, 1)
    const reader = new BinaryReader(status)
    let [code, message] = [0, '']
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === 1) code = reader.int32()
      else if (field === 2) message = reader.string()
      else reader.skip(type)
    }
    return { code, message }
  })
}

function fields(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const reader = new BinaryReader(bytes)
  const found: Uint8Array[] = []
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === wanted) found.push(reader.bytes())
    else reader.skip(type)
  }
  return found
}
