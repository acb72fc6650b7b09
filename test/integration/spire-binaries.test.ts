/** Where SPIRE's programs are looked for, and when their absence is an error. */
import { describe, expect, it } from 'vitest'
import { findSpire } from './support/spire-binaries.ts'

describe('the programs of SPIRE', () => {
  const nowhere = { PATH: '/nowhere' }

  it.each([
    { name: 'none anywhere', environment: {}, want: 'no spire-server and no spire-agent on PATH' },
    { name: 'the server alone', environment: { SPIRE_SERVER_BIN: process.execPath }, want: 'no spire-agent on PATH' }
  ])('$name: a reason to skip', ({ environment, want }) => {
    expect(findSpire({ ...nowhere, ...environment })).toContain(want)
  })

  it('named, and not there: an error, not a reason to skip', () => {
    const named = { SPIRE_SERVER_BIN: process.execPath, SPIRE_AGENT_BIN: '/nowhere/spire-agent' }
    expect(() => findSpire({ ...nowhere, ...named })).toThrow('There is nothing at /nowhere/spire-agent, which SPIRE_AGENT_BIN names.')
    const both = { ...named, SPIRE_AGENT_BIN: process.execPath }
    expect(findSpire({ ...nowhere, ...both })).toEqual({ server: process.execPath, agent: process.execPath, version: process.version })
  })
})
