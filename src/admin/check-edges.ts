/** What the commands about policy are given from outside, and the options that they share. */
import type { Settings } from '../config/settings-schema.ts'
import type { DocumentPath, PolicyDocument } from '../core/policy-document.ts'
import type { JwtKey, JwtKeySets } from '../identity/jwt-keys.ts'
import type { Policy } from '../policy/policy.ts'
import type { Judge } from './check-decision.ts'
import type { Output, Parsed } from './check-terminal.ts'

/** A policy as it decides and as it was written. */
export interface Written {
  readonly policy: Policy
  readonly document: PolicyDocument
  /** Names a place as rules do, such as `policy.yaml:31 collections[0].allow[1]`. */
  readonly place: (path: DocumentPath) => string
  readonly file: string
}

export interface Configured {
  readonly settings: Settings
  readonly settingsFile: string
  readonly written: Written
}

/** What a server learns from others. */
export interface Facts {
  /** When the calls are judged, milliseconds since the epoch. */
  readonly at: number
  /** Trust domain to its X.509 anchors; undefined: nothing can be proven. */
  readonly anchors: ReadonlyMap<string, readonly Uint8Array[]> | undefined
  readonly jwtKeys: JwtKeySets | undefined
  /** By the issuer of end users' tokens. */
  readonly subjectKeys: ReadonlyMap<string, readonly JwtKey[]>
  /** By the id of a collection. */
  readonly resolved: ReadonlyMap<string, ResolvedName>
}

export interface ResolvedName {
  readonly name: string
  readonly tenant: string
  readonly namespace: string
}

export interface Edges extends Output {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Reads settings and policy. Throws `Unreadable`. @param config the settings file, or the folder that has it */
  readonly load: (config: string) => Configured
  /** Another policy under the same settings. Throws `Unreadable`. */
  readonly loadPolicy: (file: string, settings: Settings) => Written
  /** A policy that was in force once, under the same settings; or why it cannot be had. */
  readonly loadArchived: (dir: string, revision: string, settings: Settings) => Policy | string
  readonly judge: (settings: Settings, policy: Policy, facts: Facts) => Judge
}

const DEFAULT_CONFIG = 'vecauthz.yaml'

/** The settings and policy that `--config` names. */
export function configured(options: Parsed, { load }: Edges): Configured {
  return load(options.one('config') ?? DEFAULT_CONFIG)
}
