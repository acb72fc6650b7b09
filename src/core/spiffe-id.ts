/** Placeholder: replaced by the identity work. */
export interface SpiffeId {
  readonly trustDomain: string
  readonly path: string
  readonly text: string
}
