/** What a check says about one place: what is wrong there, and the change that makes it right. */
import type { Path, Place } from './values.ts'

export interface Finding {
  readonly verdict: 'fail' | 'cannot-tell'
  readonly at: Path
  readonly says: string
  readonly fix?: Fix | undefined
}

export type Fix =
  /** Put this there: messages are merged, anything else is replaced. */
  | { readonly kind: 'put'; readonly at: Path; readonly value: unknown }
  /** Put this there in the place of what stands there. */
  | { readonly kind: 'replace'; readonly at: Path; readonly value: unknown }
  | { readonly kind: 'remove'; readonly at: Path }
  /** Put this into the list there, before the element with that index. */
  | { readonly kind: 'insert'; readonly at: Path; readonly index: number; readonly value: unknown }
  /** What no change of this file can do. */
  | { readonly kind: 'do'; readonly text: string }

export function fail(place: Place, says: string, fix?: Fix): Finding {
  return { verdict: 'fail', at: place.path, says, fix }
}

export function cannotTell(at: Path, says: string, fix?: Fix): Finding {
  return { verdict: 'cannot-tell', at, says, fix }
}

export function put({ path }: Place, value: unknown): Fix {
  return { kind: 'put', at: path, value }
}

export function remove({ path }: Place, ...keys: Path): Fix {
  return { kind: 'remove', at: [...path, ...keys] }
}

export function todo(text: string): Fix {
  return { kind: 'do', text }
}
