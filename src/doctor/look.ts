/** What the tables of checks are made of: one entry, and the places that it is held against. */

import type { Settings } from '../config/settings-schema.ts'
import { cannotTell, type Finding, fail, put } from './finding.ts'
import type { Asking, Filter, Hop, Survey, Way } from './survey.ts'
import { authzOf } from './survey.ts'
import { flag, isUnclear, type Place } from './values.ts'

/** Settings of one server, and the file that they are from. */
export interface Server {
  readonly file: string
  readonly settings: Settings
}

export interface Given {
  readonly survey: Survey
  readonly servers: readonly Server[]
}

export interface Check {
  readonly id: string
  /** What is true where it passes. */
  readonly line: string
  /** What happens where it is not. */
  readonly why: string
  /** Hops that it is about; it says nothing of others. */
  readonly hops: readonly Hop[]
  readonly look: (given: Given, hops: readonly Hop[]) => readonly Finding[]
}

export const GATEWAY: readonly Hop[] = ['gateway']
export const DECIDING: readonly Hop[] = ['gateway', 'egress']
export const LEADING: readonly Hop[] = ['egress', 'sidecar']
export const ALL: readonly Hop[] = ['gateway', 'egress', 'sidecar']

/** Looks at each place; one that is unclear leaves the others to be looked at. No place at all is no pass. */
export function each<T>(places: readonly T[], what: string, look: (one: T) => readonly Finding[]): readonly Finding[] {
  if (places.length === 0) return [cannotTell([], `there is no ${what} to look at`)]
  return places.flatMap((one) => {
    try {
      return look(one)
    } catch (cause) {
      if (!isUnclear(cause)) throw cause
      return [cannotTell(cause.at, cause.unclear)]
    }
  })
}

export type Ask = Check['look']

export function ways(look: (way: Way, given: Given) => readonly Finding[]): Ask {
  return (given, hops) => each(waysOf(given, hops), 'HTTP listener', (way) => look(way, given))
}

/** Of every way in that has one: its ext_authz filter. */
export function filters(look: (filter: Filter, way: Way, given: Given) => readonly Finding[]): Ask {
  return (given, hops) => {
    const found = waysOf(given, hops).flatMap((way) => {
      const filter = authzOf(way)
      return filter === undefined ? [] : [{ filter, way }]
    })
    return each(found, 'ext_authz filter', ({ filter, way }) => look(filter, way, given))
  }
}

/** Of every lane: whom it asks. */
export function askings(look: (asking: Asking, given: Given) => readonly Finding[]): Ask {
  return (given, hops) =>
    each(
      given.survey.askings.filter(({ way }) => hops.includes(way.hop)),
      'gRPC service of ext_authz',
      (one) => look(one, given)
    )
}

/** Every cluster that is asked for verdicts. */
export function asked(look: (cluster: Place, given: Given) => readonly Finding[]): Ask {
  return (given, hops) => {
    const names = new Set(given.survey.askings.filter(({ way }) => hops.includes(way.hop)).map((one) => one.cluster))
    return each([...names], 'cluster that is asked', (name) => {
      const cluster = given.survey.clusters.get(name)
      return cluster === undefined ? [cannotTell([], `the cluster ${name} is not shown here`)] : look(cluster, given)
    })
  }
}

/** Every cluster that calls go on to. */
export function onward(look: (cluster: Place, given: Given) => readonly Finding[]): Ask {
  return (given, hops) => {
    const names = new Set(waysOf(given, hops).flatMap((way) => way.forwards.flatMap((one) => one.clusters)))
    return each([...names], 'cluster that calls go on to', (name) => {
      const cluster = given.survey.clusters.get(name)
      return cluster === undefined ? [cannotTell([], `the cluster ${name} is not shown here`)] : look(cluster, given)
    })
  }
}

export function waysOf({ survey }: Given, hops: readonly Hop[]): readonly Way[] {
  return survey.ways.filter((way) => hops.includes(way.hop))
}

/** A flag that has to stand as wanted; the fix is the line. */
export function must(place: Place, key: string, wanted: boolean, says: string, byDefault = false): readonly Finding[] {
  return flag(place, key, byDefault) === wanted ? [] : [fail(place, says, put(place, { [key]: wanted }))]
}

/** Half of the shortest lifetime of SVIDs, in seconds; undefined where no settings say it. */
export function halfLife({ servers }: Given): number | undefined {
  return servers.length === 0 ? undefined : Math.min(...servers.map(({ settings }) => settings.svid_ttl_seconds)) / 2
}
