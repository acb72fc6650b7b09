/** The edges of a command that asks an admin port, in a test: what it prints is kept, and no agent of SPIRE is there. */
import type { AdminEdges } from '../../src/admin/admin-terminal.ts'

export function edgesOf(): { readonly said: { out: string; err: string }; readonly edges: AdminEdges } {
  const said = { out: '', err: '' }
  const edges: AdminEdges = {
    print: (text) => {
      said.out += text
    },
    complain: (text) => {
      said.err += text
    },
    now: Date.now,
    identityFrom: () => Promise.reject({ unreadable: 'no agent here' })
  }
  return { said, edges }
}
