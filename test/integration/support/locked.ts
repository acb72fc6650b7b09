/** What the lock file says that the program needs, read without npm. */

export interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly name?: string
        readonly version?: string
        readonly link?: boolean
        readonly resolved?: string
        readonly dependencies?: Readonly<Record<string, string>>
        readonly optionalDependencies?: Readonly<Record<string, string>>
        readonly peerDependencies?: Readonly<Record<string, string>>
        readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
      }
    >
  >
}

/** NAME@VERSION of what the lock file has for `dependencies`, and for what those need; found as Node finds it. */
export function neededBy({ packages }: Lock): string[] {
  const found = new Map<string, string>()
  const look = (from: string) => {
    const one = packages[from] ?? {}
    const peers = Object.keys(one.peerDependencies ?? {}).filter((name) => one.peerDependenciesMeta?.[name]?.optional !== true)
    for (const name of [...Object.keys({ ...one.dependencies, ...one.optionalDependencies }), ...peers]) {
      const at = placeOf(packages, from, name)
      const place = packages[at]?.link ? (packages[at]?.resolved ?? '') : at
      if (found.has(place)) continue
      found.set(place, `${name}@${packages[place]?.version}`)
      look(place)
    }
  }
  look('')
  return [...found.values()].sort()
}

function placeOf(packages: Lock['packages'], from: string, name: string): string {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const place = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
    if (packages[place] !== undefined) return place
    if (folder === '') throw new Error(`${name}, which ${from} needs, is not in the lock file`)
  }
}
