/** Equal questions share a name, others do not, and without the key it says nothing. */
import { describe, expect, it } from 'vitest'
import { createPromptIds, type PromptIds } from '../../src/audit/prompt-id.ts'

const ids = (byte: number) => createPromptIds(Buffer.alloc(32, byte)) as PromptIds
const vector = (...values: number[]) => Float32Array.from(values)
const NONE = () => []
const ofVector = (...values: number[]) => ids(1).of([vector(...values)], NONE)
const ofText = (...texts: string[]) => ids(1).of([], () => texts)

describe('a prompt id', () => {
  it('is 32 characters of hex, the same each time', () => {
    expect(ofVector(0.1, -0.5)).toMatch(/^[0-9a-f]{32}$/)
    expect(ofVector(0.1, -0.5)).toBe(ofVector(0.1, -0.5))
  })
  it('is the same for what differs in the last digits, or in length only', () => {
    expect(ofVector(0.1, -0.5)).toBe(ofVector(0.1000001, -0.5))
    expect(ofVector(0.1, -0.5)).toBe(ofVector(0.2, -1))
  })
  it('is another for another question, another order, another division', () => {
    expect(new Set([ofVector(0.1, -0.5), ofVector(-0.5, 0.1), ofVector(0.1, 0.5), ids(1).of([vector(0.1), vector(-0.5)], NONE)]).size).toBe(
      4
    )
    expect(new Set([ofText('ab', 'c'), ofText('a', 'bc'), ofText('abc')]).size).toBe(3)
  })
  it('of a text leaves case and white space out', () => expect(ofText('What  is\nit')).toBe(ofText(' what is IT ')))
  it('is another under another key', () => expect(ids(2).of([vector(1)], NONE)).not.toBe(ids(1).of([vector(1)], NONE)))
  it('is none for a call that asks nothing', () => expect(ids(1).of([], NONE)).toBeUndefined())
  it('a vector of zeros is one too', () => expect(ofVector(0, 0)).toMatch(/^[0-9a-f]{32}$/))
  it('a short key is refused in words', () => expect(createPromptIds(Buffer.alloc(31))).toContain('31 bytes'))
})
