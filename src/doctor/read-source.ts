/** What the doctor is pointed at: a file, or the admin interface of a running Envoy. */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { oneLine } from '../admin/approvals-lines.ts'
import { readBytes } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { type EnvoyDocument, type ReadDocument, readDocument } from './document.ts'
import { readGatewayApi } from './gateway-api.ts'
import { readIstio } from './istio.ts'
import { manifestsIn } from './manifests.ts'

const ANSWER_MS = 10_000
/** A dump with some hundred listeners stays below this. */
const DUMP_BYTES_MAX = 64 * 1024 * 1024

/** Throws `Unreadable`. @param source a path, or an http:// URL such as http://127.0.0.1:9903; a folder is one of manifests */
export async function readSource(source: string): Promise<EnvoyDocument> {
  const text = /^https?:\/\//.test(source) ? await dumpOf(source) : fileOrFolder(source)
  const read = readText(text)
  return read.ok ? read.document : unreadable(`${oneLine(source)} cannot be judged: ${oneLine(read.says)}.`)
}

/** An Envoy bootstrap, a dump, or manifests. */
function readText(text: string): ReadDocument {
  const manifests = manifestsIn(text)
  return (manifests === undefined ? undefined : (readIstio(manifests) ?? readGatewayApi(manifests))) ?? readDocument(text)
}

function fileOrFolder(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return readBytes(path).toString('utf8')
  const files = readdirSync(path).filter((name) => /\.ya?ml$/.test(name))
  return files.map((name) => readBytes(join(path, name)).toString('utf8')).join('\n---\n')
}

async function dumpOf(source: string): Promise<string> {
  const url = URL.canParse(source) ? new URL(source) : unreadable(`${oneLine(source)} is no URL.`)
  if (url.pathname === '/') url.pathname = '/config_dump'
  if (url.search === '') url.search = '?include_eds'
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), redirect: 'error' })
    if (answer.status !== 200) return unreadable(`${url.href} answers with status ${answer.status}; is /config_dump among allow_paths?`)
    if (Number(answer.headers.get('content-length') ?? 0) > DUMP_BYTES_MAX) return unreadable(`${url.href} answers with more than 64 MiB.`)
    return await answer.text()
  } catch (cause) {
    if (typeof cause === 'object' && cause !== null && 'unreadable' in cause) throw cause
    return unreadable(
      `${url.href} cannot be reached: ${((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message}.`
    )
  }
}
