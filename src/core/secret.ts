/**
 * A credential on its way from where it is kept to where it is used. The text sits in a closure: printing, serialising or logging
 * the object shows none of it, and the one way to it can be searched for.
 */
export interface Secret {
  readonly reveal: () => string
}

export function secretOf(text: string): Secret {
  return { reveal: () => text }
}
