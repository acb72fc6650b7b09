/** All faults, in the order in which they are tried. */
import { clock } from './clock.ts'
import { diskFull } from './disk.ts'
import type { Fault } from './finding.ts'
import { kill } from './kill.ts'
import { pair } from './pair.ts'
import { partition, redisAway } from './redis.ts'
import { swarm } from './swarm.ts'

export const FAULTS: readonly Fault[] = [pair, kill, redisAway, partition, diskFull, clock, swarm]

/** Of one fault, below that of all of them. */
export function folderOf({ name }: Fault): string {
  return name.replaceAll(/[^a-z0-9]+/g, '-')
}
