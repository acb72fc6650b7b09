/** Names in the policy: exact, with a final `*`, or with `{tenant}` in them. What a template matches belongs to one tenant or to none. */

export interface NamePattern {
  /** As the policy has it. */
  readonly text: string
  readonly before: string
  /** Undefined where there is no `{tenant}`: then `before` is all but the `*`. */
  readonly after: string | undefined
  /** Ends in `*`. */
  readonly open: boolean
}

const HOLE = '{tenant}'

export function readPattern(text: string): NamePattern {
  const open = text.endsWith('*')
  const body = open ? text.slice(0, -1) : text
  const hole = body.indexOf(HOLE)
  return hole < 0
    ? { text, before: body, after: undefined, open }
    : { text, before: body.slice(0, hole), after: body.slice(hole + HOLE.length), open }
}

/** What is wrong with a pattern as such, whatever the tenants are called; undefined when nothing is. */
export function patternFault(text: string): string | undefined {
  const star = text.indexOf('*')
  if (star >= 0 && star < text.length - 1) return `"${text}" has a * that is not at its end`
  if (text.split(HOLE).length > 2) return `"${text}" has {tenant} twice`
  if (/[{}]/.test(text.replace(HOLE, ''))) return `"${text}" has a brace that is not {tenant}`
  if (text.endsWith(`${HOLE}*`)) return `"${text}" has nothing between {tenant} and *: acme's names would be those of acme2 as well`
  return undefined
}

/** Matches every name there is. */
export function matchesAll({ before, after, open }: NamePattern): boolean {
  return open && before === '' && after === undefined
}

/** Whether a pattern without `{tenant}`, or with it filled in, covers a name. */
export function covers({ before, after, open }: NamePattern, name: string, tenant: string): boolean {
  const whole = after === undefined ? before : before + tenant + after
  return open ? name.startsWith(whole) : name === whole
}

/** The tenant that a template reads out of a name; undefined where it does not match, or for a tenant that is none. */
export function tenantIn({ before, after, open }: NamePattern, name: string, tenants: ReadonlySet<string>): string | undefined {
  if (after === undefined || !name.startsWith(before)) return undefined
  if (!open) {
    const tenant = name.endsWith(after) ? name.slice(before.length, name.length - after.length) : ''
    return tenants.has(tenant) ? tenant : undefined
  }
  // Compiling has seen that no tenant's name goes on as another's does, so the first that fits is the only one.
  for (let at = name.indexOf(after, before.length); at >= 0; at = name.indexOf(after, at + 1)) {
    const tenant = name.slice(before.length, at)
    if (tenants.has(tenant)) return tenant
  }
  return undefined
}

/** Two tenants whose names one open template could mix up, as `a` and `a_b` in `docs_{tenant}_*`; undefined when there are none. */
export function mixedUp({ after, open }: NamePattern, tenants: ReadonlySet<string>): readonly [string, string] | undefined {
  if (!open || after === undefined) return undefined
  for (const tenant of tenants) {
    for (let length = 1; length < tenant.length; length++) {
      const shorter = tenant.slice(0, length)
      // One name begins with both exactly when one of the two beginnings begins with the other.
      if (tenants.has(shorter) && (tenant + after).startsWith(shorter + after)) return [shorter, tenant]
    }
  }
  return undefined
}
