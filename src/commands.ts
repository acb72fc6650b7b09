/** The commands about policy that need no server, and those that talk to one: what each is given from outside. */
import { execFile } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { AdminIdentity } from './admin/admin-client.ts'
import type { AdminEdges } from './admin/admin-terminal.ts'
import { approvalsCommand } from './admin/approvals-command.ts'
import { checkCommand } from './admin/check.ts'
import type { Configured, Edges, Written } from './admin/check-edges.ts'
import { faulty, type Output } from './admin/check-terminal.ts'
import { explainCommand } from './admin/explain.ts'
import { testCommand } from './admin/policy-test.ts'
import { replayCommand } from './admin/replay.ts'
import { revokeCommand } from './admin/revoke-command.ts'
import { riskCommand } from './admin/risk-command.ts'
import { unreadable } from './admin/svid-verify-question.ts'
import { tailCommand } from './admin/tail-command.ts'
import { type Compile, loadAll, loadPolicy, loadPolicyTexts, loadSettings } from './config/load.ts'
import { readArchived } from './config/policy-archive.ts'
import type { PolicyText } from './config/policy-files.ts'
import { printFault } from './config/read-yaml.ts'
import type { DocumentPath, PolicyDocument } from './core/policy-document.ts'
import { SERVED } from './databases/dialects.ts'
import type { DoctorEdges } from './doctor/doctor-command.ts'
import { verifyX509Svid } from './identity/x509-svid.ts'
import type { InventoryEdges } from './inventory/inventory-command.ts'
import { kubernetesCommand } from './k8s/command.ts'
import { createJudge } from './offline.ts'
import { compilePolicy } from './policy/compile.ts'
import type { Policy } from './policy/policy.ts'
import type { OffboardEdges } from './registration/offboard.ts'
import { readEndpointAddress } from './spire/endpoint-address.ts'
import { connectWorkloadApi } from './spire/workload-api.ts'

const SETTINGS_NAME = 'vecauthz.yaml'

const COMMANDS: Readonly<Record<string, (args: readonly string[], edges: Edges) => Promise<number>>> = {
  check: checkCommand,
  explain: explainCommand,
  replay: replayCommand,
  test: testCommand
}

type RareEdges = DoctorEdges & OffboardEdges & InventoryEdges

/** Loaded when they are asked for: a server starts without them. */
const RARE: Readonly<Record<string, (args: readonly string[], edges: RareEdges) => Promise<number>>> = {
  doctor: async (args, edges) => (await import('./doctor/doctor-command.ts')).doctorCommand(args, edges),
  inventory: async (args, edges) => (await import('./inventory/inventory-command.ts')).inventoryCommand(args, edges),
  spire: async (args, edges) => (await import('./registration/spire-command.ts')).spireCommand(args, edges),
  onboard: async (args, edges) => (await import('./registration/onboard.ts')).onboardCommand(args, edges),
  offboard: async (args, edges) => (await import('./registration/offboard.ts')).offboardCommand(args, edges)
}

const APPROVAL_COMMANDS: ReadonlySet<string> = new Set(['approvals', 'approve', 'refuse', 'grants', 'end-run'])
const RISK_COMMANDS: ReadonlySet<string> = new Set(['standings', 'release', 'step-up', 'baselines', 'signal', 'figure'])

/** A command that talks to an admin port; undefined for one that does not. */
export function adminCommand(name: string, output: Output): ((args: readonly string[]) => Promise<number>) | undefined {
  const edges: AdminEdges = { ...output, now: Date.now, identityFrom }
  if (name === 'revoke') return (args) => revokeCommand(args, edges)
  if (!APPROVAL_COMMANDS.has(name) && !RISK_COMMANDS.has(name)) return undefined
  return (args) => (RISK_COMMANDS.has(name) ? riskCommand : approvalsCommand)(name, args, edges)
}

/** An agent on this host answers at once, or is not there. */
const WORKLOAD_API_MS = 10_000

async function identityFrom(workloadApi: string): Promise<AdminIdentity> {
  const read = readEndpointAddress(workloadApi, undefined)
  if (!read.ok) return unreadable(read.detail)
  const source = connectWorkloadApi({ address: read.address, verify: verifyX509Svid, now: Date.now, onEvent: () => undefined })
  try {
    const { svid, bundles } = await source.ready(WORKLOAD_API_MS)
    const pem = (der: Uint8Array) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
    const key = svid.key.export({ type: 'pkcs8', format: 'pem' }) as string
    return { cert: svid.certificates.map(pem).join(''), key, trust: bundles }
  } catch (cause) {
    return unreadable((cause as Error).message)
  } finally {
    source.close()
  }
}

/** A command by its name; undefined for one that is not of these. */
export function policyCommand(name: string, output: Output): ((args: readonly string[]) => Promise<number>) | undefined {
  const edges: Edges = { ...output, now: Date.now, load, loadPolicy: otherPolicy, loadArchived: archivedPolicy, judge: createJudge }
  const rare = Object.hasOwn(RARE, name) ? RARE[name] : undefined
  if (rare !== undefined) return (args) => rare(args, { ...edges, loadSettings: settingsOf, writtenOf, identityFrom, forge, run })
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) return undefined
  return (args) => command(args, edges)
}

/** Our name over somebody else's key: what any workload could make for itself. */
async function forge(chainPem: string, now: number): Promise<{ cert: string; key: string }> {
  // Only here, for it takes a while to load.
  const { certificatePem, newKey, writeCertificate } = await import('./spire/dev-certificate.ts')
  const uris = new X509Certificate(chainPem).subjectAltName?.match(/(?<=URI:)[^,\s]+/g) ?? []
  const key = newKey()
  const spec = {
    name: 'doctor',
    key,
    issuer: { name: 'doctor', key },
    serial: randomBytes(16),
    notBefore: now - 60_000,
    notAfter: now + 600_000
  }
  const cert = certificatePem(writeCertificate({ ...spec, uris, dns: [] }))
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }) as string }
}

function fileOf(config: string): string {
  if (!existsSync(config)) return unreadable(`There is no settings file "${config}". Give one with --config FILE.`)
  return statSync(config).isDirectory() ? join(config, SETTINGS_NAME) : config
}

function settingsOf(config: string): Configured['settings'] {
  const loaded = loadSettings(fileOf(config), SERVED)
  return loaded.ok ? loaded.value : faulty(loaded.faults)
}

/** A command that lasts. @param stopped resolves when the process is told to end */
export function lastingCommand(
  name: string,
  output: Output,
  stopped: () => Promise<unknown>
): ((args: readonly string[]) => Promise<number>) | undefined {
  if (name === 'tail') return (args) => tailCommand(args, { ...output, now: Date.now, identityFrom }, stopped)
  if (name !== 'k8s') return undefined
  return (args) => kubernetesCommand(args, { ...output, now: Date.now, load, stopped: stopped() })
}

function load(config: string): Configured {
  const settingsFile = fileOf(config)
  const keeping = keepDocument()
  const loaded = loadAll(settingsFile, SERVED, keeping.compile)
  if (!loaded.ok) return faulty(loaded.faults)
  const { settings, policy, policyFile: file } = loaded
  return { settings, settingsFile, written: { policy, file, ...keeping.written() } }
}

function otherPolicy(file: string, settings: Configured['settings']): Written {
  if (!existsSync(file)) return unreadable(`There is no policy "${file}".`)
  const keeping = keepDocument()
  const loaded = loadPolicy(file, settings, SERVED, keeping.compile)
  return loaded.ok ? { policy: loaded.policy, file, ...keeping.written() } : faulty(loaded.faults)
}

/** A policy that is not written down yet. */
function writtenOf(texts: readonly PolicyText[], settings: Configured['settings']): Written {
  const keeping = keepDocument()
  const loaded = loadPolicyTexts(texts, settings, SERVED, keeping.compile)
  return loaded.ok ? { policy: loaded.policy, file: '', ...keeping.written() } : faulty(loaded.faults)
}

async function run(program: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, [...args], { timeout: WORKLOAD_API_MS })).stdout
}

function archivedPolicy(dir: string, revision: string, settings: Configured['settings']): Policy | string {
  const read = readArchived(dir, revision)
  if (!read.ok) return read.says
  const loaded = loadPolicyTexts(read.files, settings, SERVED, compilePolicy)
  if (loaded.ok) return loaded.policy
  // It was good once: then it is the settings that are others now, or the format.
  return `revision ${revision} cannot be used under these settings: ${loaded.faults.slice(0, 1).map(printFault).join('')}`
}

/** The compiler, and what it was given: the lookups that decide are not what was written. */
function keepDocument() {
  let document: PolicyDocument | undefined
  let place: (path: DocumentPath) => string = () => ''
  const compile: Compile<Policy> = (given, known, revision, placeOf) => {
    document = given
    place = placeOf
    return compilePolicy(given, known, revision, placeOf)
  }
  return { compile, written: () => (document === undefined ? unreadable('There is no policy.') : { document, place }) }
}
