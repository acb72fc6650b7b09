/** Every line of the safe-deployment list, in the order in which it is told. docs/doctor.md is made from this. */
import { AFTER, EMPTY_HANDED } from './checks-after.ts'
import { ANSWER } from './checks-answer.ts'
import { AROUND } from './checks-around.ts'
import { ASKING } from './checks-asking.ts'
import { BODY } from './checks-body.ts'
import { GUARDING } from './checks-guard.ts'
import { HEADERS } from './checks-headers.ts'
import { PEER } from './checks-peer.ts'
import { READING } from './checks-reading.ts'
import { RUNTIME } from './checks-runtime.ts'
import type { Check } from './look.ts'

export const CHECKS: readonly Check[] = [
  ...PEER,
  ...READING,
  ...HEADERS,
  ...ASKING,
  ...BODY,
  ...ANSWER,
  ...GUARDING,
  ...AFTER,
  ...AROUND,
  ...RUNTIME,
  EMPTY_HANDED
]
