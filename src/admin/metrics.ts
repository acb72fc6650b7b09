/** What the evidence looks like from outside, in the Prometheus text format. Labels come from the settings, never from calls. */
import { Counter, Gauge, Registry } from 'prom-client'

/** Read at each scrape; undefined where there is nothing to have an age or an end. */
export interface EvidenceFacts {
  /** Milliseconds since the epoch. */
  readonly svidNotAfter: number | undefined
  readonly trustBundleAgeMs: number | undefined
  readonly jwtBundleAgeMs: number | undefined
  /** Grows with every change that the Workload API tells. */
  readonly generation: number | undefined
  readonly subjectKeyAgesMs: readonly { readonly issuer: string; readonly ageMs: number | undefined }[]
  /** Of each database that has credentials: how many are wanted, and how many of them cannot be had. */
  readonly credentials: readonly { readonly database: string; readonly wanted: number; readonly missing: number }[]
}

export interface MetricsPage {
  /** For further metrics. */
  readonly registry: Registry
  readonly contentType: string
  readonly text: () => Promise<string>
  /** A client sent a credential to a database. Both from closed lists: `database` of the settings, `header` a known one or `other`. */
  readonly clientCredential: (database: string, header: string) => void
}

/** Gauges of what is looked up when somebody scrapes. */
export function gaugesOf<F>(registry: Registry, facts: () => F) {
  return (name: string, help: string, value: (facts: F) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        // NaN is how Prometheus writes "there is none": a gauge that is missing looks like one that was never there.
        this.set(value(facts()) ?? Number.NaN)
      }
    })
}

export function createMetrics(facts: () => EvidenceFacts): MetricsPage {
  const registry = new Registry()
  const gauge = gaugesOf(registry, facts)
  gauge('vecauthz_svid_not_after_timestamp_seconds', 'End of our own X.509-SVID', ({ svidNotAfter }) => seconds(svidNotAfter))
  gauge('vecauthz_trust_bundle_age_seconds', 'Since the Workload API last stood by the trust bundles', ({ trustBundleAgeMs }) =>
    seconds(trustBundleAgeMs)
  )
  gauge('vecauthz_jwt_bundle_age_seconds', 'Since the Workload API last stood by the JWT bundles', ({ jwtBundleAgeMs }) =>
    seconds(jwtBundleAgeMs)
  )
  gauge('vecauthz_svid_generation', 'Changes of SVID or bundles since the start', ({ generation }) => generation)
  new Gauge({
    name: 'vecauthz_subject_keys_age_seconds',
    help: "Since the keys of an issuer of end users' tokens were last read",
    labelNames: ['issuer'],
    registers: [registry],
    collect() {
      for (const { issuer, ageMs } of facts().subjectKeyAgesMs) this.set({ issuer }, seconds(ageMs) ?? Number.NaN)
    }
  })
  new Gauge({
    name: 'vecauthz_credentials_missing',
    help: 'Credentials of a database that cannot be had, of those that are wanted',
    labelNames: ['database'],
    registers: [registry],
    collect() {
      for (const { database, missing } of facts().credentials) this.set({ database }, missing)
    }
  })
  const copies = new Counter({
    name: 'vecauthz_client_credentials_total',
    help: 'Calls in which a client sent a credential of its own to a database; it was removed',
    labelNames: ['database', 'header'],
    registers: [registry]
  })
  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    clientCredential: (database, header) => copies.inc({ database, header })
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}
