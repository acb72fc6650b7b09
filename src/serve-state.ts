/** What processes know together, and who may change it by hand: the store, used policy tokens, approvals, and the admin port. */
import { dirname, isAbsolute, join } from 'node:path'
import type { Logger } from 'pino'
import type { Answering } from './admin/admin-answer.ts'
import { type AdminPort, startAdminPort } from './admin/admin-port.ts'
import type { AdminRoute } from './admin/admin-route.ts'
import { approvalRoutes } from './admin/approval-routes.ts'
import { heldBack } from './admin/held-routes.ts'
import { type LocalPort, startLocalPort } from './admin/local-port.ts'
import { withOpenapi } from './admin/openapi.ts'
import { approvalLine, operatorActLine } from './audit/act-record.ts'
import type { AuditSink } from './audit/sink.ts'
import { splitAddress } from './config/address.ts'
import type { Settings } from './config/settings-schema.ts'
import type { Approvals } from './core/approval.ts'
import type { OperatorAct } from './core/operator-act.ts'
import type { Revocations } from './core/revocation.ts'
import { parseSpiffeId, type SpiffeId } from './core/spiffe-id.ts'
import type { Store } from './core/store.ts'
import type { TrustBundles } from './core/trust.ts'
import { mayApprove } from './policy/approval-need.ts'
import type { Policy } from './policy/policy.ts'
import { roleOf } from './serve-role.ts'
import { createApprovalDesk } from './state/approval-desk.ts'
import { createApprovals } from './state/approvals.ts'
import { openStore, type StoreSettings } from './state/open-store.ts'
import { createRevocations } from './state/revocations.ts'
import { createSharedSpentTokens } from './state/spent-tokens-shared.ts'
import type { Role } from './world.ts'

export interface ServedState {
  readonly store: Store
  readonly role: Role
  /** Undefined at egress, where nobody is asked. */
  readonly approvals: Approvals | undefined
  readonly revocations: Revocations
  /** Opens the admin port, where the settings have one. @param own our SVID as PEM. @param routes beside those of approvals */
  readonly openAdmin: (
    own: { readonly key: string; readonly cert: string },
    trust: () => TrustBundles | undefined,
    routes: readonly AdminRoute[]
  ) => Promise<ServedAdmin | undefined>
  /**
   * Why nothing may be sent here yet: the store has never answered. Once it has, its failures are those of single calls: a replica
   * that cannot note what changes something still serves what does not.
   */
  readonly fault: () => string | undefined
  readonly close: () => Promise<void>
}

export interface ServedAdmin {
  readonly admin: AdminPort
  readonly local: LocalPort | undefined
}

export interface StateParts {
  readonly settingsFile: string
  readonly policy: () => Policy
  readonly sink: AuditSink
  readonly log: Logger
  readonly onAct: (act: OperatorAct) => void
  /** Has to step up, or is quarantined. */
  readonly isHeld: (id: SpiffeId) => boolean
}

export function openState(settings: Settings, { settingsFile, policy, sink, log, onAct, isHeld }: StateParts): ServedState {
  let answered = settings.state.kind === 'memory'
  const store = storeOf(settings, settingsFile, log, () => {
    answered = true
  })
  const parts = {
    store,
    // Asked when it decides, and again when the yes is used.
    mayApprove: (id: SpiffeId) => mayApprove(id, policy()) && !isHeld(id),
    onStep: (...step: Parameters<typeof approvalLine>) => sink.write(approvalLine(...step), 'people')
  }
  const spent = createSharedSpentTokens(store, settings.token_leeway_seconds * 1000)
  const revocations = createRevocations(store, Date.now)
  revocations.start()
  return {
    store,
    revocations,
    role: roleOf(settings, spent),
    approvals: settings.role === 'egress' ? undefined : createApprovals(parts),
    async openAdmin(own, trust, routes) {
      if (settings.admin === undefined) return undefined
      const [host, port] = splitAddress(settings.admin.listen)
      const answering = {
        routes: withOpenapi(heldBack([...approvalRoutes(createApprovalDesk(parts)), ...routes], isHeld)),
        policy,
        now: Date.now,
        record(act: OperatorAct) {
          onAct(act)
          return sink.write(operatorActLine(act), 'people')
        },
        onFault: (cause: unknown) => log.error({ fault: cause instanceof Error ? cause.stack : String(cause) }, 'the admin port failed')
      }
      const onRefused = (address: string, because: string) => log.warn({ peer: address, because }, 'a peer of the admin port was refused')
      const admin = await startAdminPort(own, { ...answering, host, port, operators: settings.admin.operators, trust, onRefused })
      return { admin, local: await openLocal(settings.admin.local, settingsFile, answering) }
    },
    fault: () => {
      if (!answered) return `the store (state: ${settings.state.kind}) has not answered yet`
      return revocations.isLoaded() ? undefined : 'it is not known yet what operators have revoked'
    },
    async close() {
      await revocations.stop()
      await store.close()
    }
  }
}

/** For people on this host, beside the port over mTLS. */
async function openLocal(
  local: NonNullable<Settings['admin']>['local'],
  settingsFile: string,
  answering: Answering & { readonly onFault: (cause: unknown) => void }
): Promise<LocalPort | undefined> {
  if (local === undefined) return undefined
  const as = parseSpiffeId(local.as)
  if (!as.ok) throw new Error(`admin.local.as: ${as.detail}`)
  const absolute = (path: string) => (isAbsolute(path) ? path : join(dirname(settingsFile), path))
  if ('socket' in local) return startLocalPort({ ...answering, listen: { kind: 'socket', path: absolute(local.socket) }, as: as.id })
  const [host, port] = splitAddress(local.listen)
  return startLocalPort({ ...answering, listen: { kind: 'loopback', host, port, tokenFile: absolute(local.token_file) }, as: as.id })
}

function storeOf({ state }: Settings, settingsFile: string, log: Logger, onReady: () => void): Store {
  const absolute = (path: string) => (isAbsolute(path) ? path : join(dirname(settingsFile), path))
  return openStore(withAbsolutePaths(state, absolute), ({ kind, because }) => {
    if (kind === 'unavailable') return log.error({ because }, 'state: cannot be had; what needs it is refused')
    log.info({ because }, 'state: there')
    onReady()
  })
}

function withAbsolutePaths(state: Settings['state'], absolute: (path: string) => string): StoreSettings {
  if (state.kind === 'memory') return state
  if (state.kind === 'sqlite') return { kind: 'sqlite', file: absolute(state.file) }
  const { ca_file, password_file } = state
  return {
    ...state,
    ca_file: ca_file === undefined ? undefined : absolute(ca_file),
    password_file: password_file === undefined ? undefined : absolute(password_file)
  }
}
