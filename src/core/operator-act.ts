/** What somebody did through the admin port, for the audit record: one line before it is done, one for what came of it. */
export interface OperatorAct {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The same on both lines. */
  readonly actId: string
  /** `begun`: nothing was done yet, and nothing is, where this line cannot be kept. */
  readonly stage: 'begun' | 'done' | 'refused' | 'failed'
  /** Such as `approval.approve`. */
  readonly act: string
  /** SPIFFE ID. */
  readonly by: string
  /** Serial number of the certificate, lower-case hex. */
  readonly serial: string
  /** What it was about: an id, or the name of a run. */
  readonly about: string
  readonly reason: string | undefined
  /** HTTP status of the answer; undefined as long as there is none. */
  readonly status: number | undefined
  /** What is known of it by then, such as the request that was approved: names, never a body. */
  readonly facts: Readonly<Record<string, unknown>> | undefined
}
