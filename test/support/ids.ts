import { compileIdPattern, type IdPattern, parseSpiffeId, type SpiffeId } from '../../src/core/spiffe-id.ts'

export function idOf(text: string): SpiffeId {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.detail}`)
  return parsed.id
}

export function patternOf(text: string): IdPattern {
  const compiled = compileIdPattern(text)
  if (!compiled.ok) throw new Error(compiled.detail)
  return compiled.pattern
}
