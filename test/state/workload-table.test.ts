import { describe, expect, it } from 'vitest'
import { createWorkloadTable } from '../../src/state/workload-table.ts'

const DAY = 86_400_000
interface Kept {
  readonly came: number
  suspicion: number
}
const tableOf = (most: number) =>
  createWorkloadTable<Kept>({ most, create: (came) => ({ came, suspicion: 0 }), suspicionOf: ({ suspicion }) => suspicion })

describe('a bounded table of workloads', () => {
  it('finds again who calls, and stays bounded', () => {
    const table = tableOf(100)
    const busy = table.get('busy', 0)
    for (let at = 0; at < 10_000; at++) {
      table.get(`agent ${at}`, 0)
      if (at % 50 === 0) expect(table.get('busy', 0)).toBe(busy)
      expect(table.size()).toBeLessThanOrEqual(200)
    }
    expect([table.peek('busy'), table.peek('agent 0')]).toEqual([busy, undefined])
  })

  it('who was forgotten is not as one who was never seen', () => {
    const table = tableOf(10)
    table.get('scanner', 0).suspicion = 128
    for (let at = 0; at < 100; at++) table.get(`agent ${at}`, 0)
    expect(table.peek('scanner')).toBeUndefined()
    expect(table.get('scanner', 0).came).toBe(128)
    expect(table.get('nobody', 0).came).toBe(0)
  })

  it('suspicion fades by half each day, and a clock that goes back fades nothing', () => {
    const table = tableOf(1)
    const forget = (now: number) => ['x', 'y', 'z'].map((id) => table.get(id, now))
    table.get('scanner', 0).suspicion = 255
    forget(0)
    table.get('scanner', -DAY).suspicion = 255
    expect(table.get('scanner', 0).came).toBe(255)
    forget(0)
    expect(table.get('scanner', DAY).came).toBe(127)
  })

  it('100,000 forgotten honest workloads leave nothing, and 1,000 scanners hardly touch others', () => {
    const table = tableOf(1000)
    for (let at = 0; at < 100_000; at++) table.get(`agent ${at}`, 0)
    expect(Array.from({ length: 1000 }, (_, at) => table.get(`new ${at}`, 0).came).filter((came) => came > 0)).toEqual([])
    for (let at = 0; at < 1000; at++) table.get(`scanner ${at}`, 0).suspicion = 200
    for (let at = 0; at < 5000; at++) table.get(`other ${at}`, 0)
    const touched = Array.from({ length: 5000 }, (_, at) => table.get(`newer ${at}`, 0).came).filter((came) => came > 0)
    expect(touched.length).toBeLessThan(10)
    expect(table.get('scanner 7', 0).came).toBe(200)
  })
})
