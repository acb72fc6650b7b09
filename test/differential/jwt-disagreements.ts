/**
 * Where the rulebook and another judge of JWT-SVIDs disagree, rule by rule. What is not here is a fault of one of the two.
 */
import type { RuleNumber } from '../../src/identity/rules.ts'
import type { Defect } from './jwt-defects.ts'

export type Judge = 'jose' | 'go-spiffe'

interface Row {
  readonly rule: RuleNumber
  readonly judge: Judge
  /** Names of defects; `every` is each one that the rule refuses. */
  readonly about: 'every' | readonly string[]
  readonly why: string
}

/** The judge accepts what the rule refuses. */
export const LAXER: readonly Row[] = [
  { rule: 'J-1', judge: 'jose', about: ['half a surrogate pair'], why: 'RFC 8259 §8.2 leaves open what that is, and readers differ' },
  {
    rule: 'J-2',
    judge: 'jose',
    about: ['padding', 'a space behind', 'a line break behind', 'leftover bits behind the signature'],
    why: 'its decoder skips what it does not know'
  },
  { rule: 'J-5', judge: 'jose', about: 'every', why: 'its option allows one value only, and JWT-SVID two or none' },
  { rule: 'W-1', judge: 'jose', about: 'every', why: 'as J-5' },
  { rule: 'J-6', judge: 'jose', about: 'every', why: 'what it does not use it does not refuse' },
  { rule: 'J-9', judge: 'jose', about: ['an ID of the partner, signed by us'], why: 'it has one key set, whoever the subject is' },
  {
    rule: 'J-10',
    judge: 'jose',
    about: [
      'sub a name',
      'sub a number',
      'sub a dot segment',
      'sub with a port',
      'sub with an empty query',
      'sub in upper case',
      'sub of a trust domain in upper case',
      'sub percent-encoded',
      'sub of 2049 bytes'
    ],
    why: 'it knows no SPIFFE IDs: it asks that a subject is there'
  },
  { rule: 'J-11', judge: 'jose', about: 'every', why: 'it knows no SPIFFE IDs' },
  {
    rule: 'J-12',
    judge: 'jose',
    about: ['aud with a number', 'aud with an empty text'],
    why: 'ours is among them, and it looks no further'
  },
  { rule: 'J-15', judge: 'jose', about: ['exp beyond the calendar'], why: 'any number is a time to it' },
  { rule: 'J-19', judge: 'jose', about: 'every', why: 'it has one key set, whoever the subject is' },
  { rule: 'J-20', judge: 'jose', about: 'every', why: 'it has one key set, whoever the subject is' },
  { rule: 'J-22', judge: 'jose', about: 'every', why: 'JSON.parse takes the last of several members' },
  { rule: 'J-24', judge: 'jose', about: 'every', why: 'it has no bound on size and depth, and knows no names that mean something' },
  { rule: 'W-2', judge: 'jose', about: 'every', why: 'it ignores the claim' },
  { rule: 'J-1', judge: 'go-spiffe', about: ['half a surrogate pair'], why: 'it reads a replacement character' },
  {
    rule: 'J-2',
    judge: 'go-spiffe',
    about: ['a line break behind', 'leftover bits behind the signature'],
    why: 'its decoder skips line breaks, and is not told to be strict'
  },
  {
    rule: 'J-6',
    judge: 'go-spiffe',
    about: ['header jku there', 'header jwk there', 'header x5c there', 'header cty there'],
    why: 'what it does not use it does not refuse; b64 it obeys, so that something else was signed'
  },
  {
    rule: 'J-7',
    judge: 'go-spiffe',
    about: ['header crit empty'],
    why: 'nothing is named in it that it does not know; RFC 7515 §4.1.11 forbids the empty list'
  },
  { rule: 'J-10', judge: 'go-spiffe', about: ['sub of 2049 bytes'], why: 'it has no bound' },
  { rule: 'J-11', judge: 'go-spiffe', about: 'every', why: 'it takes an ID without a path for a workload' },
  { rule: 'J-12', judge: 'go-spiffe', about: ['aud with an empty text'], why: 'ours is among them, and it looks no further' },
  { rule: 'J-15', judge: 'go-spiffe', about: ['exp 5 seconds ago'], why: 'its leeway is a minute' },
  { rule: 'J-16', judge: 'go-spiffe', about: ['nbf in 6 seconds'], why: 'its leeway is a minute' },
  { rule: 'J-24', judge: 'go-spiffe', about: 'every', why: 'it has no bound on size and depth, and no names that mean something' },
  { rule: 'W-2', judge: 'go-spiffe', about: 'every', why: 'it ignores the claim' }
]

/** The judge refuses what the rulebook accepts, by the rule that has us accept it. */
export const STRICTER: readonly Row[] = [
  { rule: 'J-17', judge: 'jose', about: ['iat a text'], why: 'it asks for a number; here the time of issue never decides' },
  { rule: 'J-18', judge: 'jose', about: ['an ID of the partner, signed by it'], why: 'it has one key set, and that is ours' },
  {
    rule: 'J-8',
    judge: 'go-spiffe',
    about: ['header kid missing'],
    why: 'it asks for a key id, which JWT-SVID §2.2 leaves to the issuer (spiffe#358)'
  },
  {
    rule: 'J-17',
    judge: 'go-spiffe',
    about: ['iat in two minutes', 'iat a text'],
    why: 'it refuses a token of the future; here the time of issue never decides'
  },
  {
    rule: 'J-27',
    judge: 'go-spiffe',
    about: ['a number beyond all numbers'],
    why: 'it reads all claims; here those without a rule are not read'
  }
]

/** Whether some row of the list speaks of this defect. */
export function listed(list: readonly Row[], judge: Judge, { name, rules }: Defect): boolean {
  return list.some((row) => row.judge === judge && (row.about === 'every' ? rules.includes(row.rule) : row.about.includes(name)))
}
