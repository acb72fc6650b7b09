import { expect, it } from 'vitest'
import { readBearer } from '../../src/identity/jwt-bearer.ts'
import { makeToken } from '../support/jwt.ts'

const token = makeToken()

it.each([
  { name: 'J-23 Bearer', header: `Bearer ${token}`, want: token },
  { name: 'J-23 bearer', header: `bearer ${token}`, want: token },
  { name: 'J-23 BEARER', header: `BEARER ${token}`, want: token },
  { name: 'J-23 what is no token is for the rulebook to refuse', header: 'Bearer abc==', want: 'abc==' },
  { name: 'J-23 Basic', header: `Basic ${token}`, want: undefined },
  { name: 'J-23 the token alone', header: token, want: undefined },
  { name: 'J-23 the scheme alone', header: 'Bearer', want: undefined },
  { name: 'J-23 the scheme and a space', header: 'Bearer ', want: undefined },
  { name: 'J-23 no space', header: `Bearer${token}`, want: undefined },
  { name: 'J-23 two spaces', header: `Bearer  ${token}`, want: undefined },
  { name: 'J-23 a tab', header: `Bearer\t${token}`, want: undefined },
  { name: 'J-23 a space in front', header: ` Bearer ${token}`, want: undefined },
  { name: 'J-23 a space behind', header: `Bearer ${token} `, want: undefined },
  { name: 'J-23 a line break behind', header: `Bearer ${token}\n`, want: undefined },
  { name: 'J-23 two tokens', header: `Bearer ${token} ${token}`, want: undefined },
  { name: 'J-23 two headers that were joined', header: `Bearer ${token}, Bearer ${token}`, want: undefined },
  { name: 'J-23 two headers that were joined without a space', header: `Bearer ${token},Basic`, want: undefined },
  { name: 'J-23 an empty header', header: '', want: undefined }
])('$name', ({ header, want }) => {
  const read = readBearer(header)
  expect(read.ok ? read.token : undefined).toBe(want)
  if (!read.ok) expect(read.rule).toBe('J-23')
})
