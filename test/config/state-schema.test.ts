import { describe, expect, it } from 'vitest'
import { state } from '../../src/config/state-schema.ts'

const redis = (url: string) => state.safeParse({ kind: 'redis', url }).success

describe('where shared state is kept', () => {
  it.each([
    [{ kind: 'memory' }],
    [{ kind: 'sqlite', file: 'state.db' }],
    [{ kind: 'redis', url: 'rediss://redis.internal:6379', ca_file: 'ca.pem', username: 'vecauthz', password_file: 'password' }]
  ])('%j', (value) => expect(state.parse(value)).toEqual(value))

  it.each([
    ['nothing named', {}],
    ['something else', { kind: 'etcd' }],
    ['memory in a file', { kind: 'memory', file: 'state.db' }],
    ['sqlite without a file', { kind: 'sqlite' }],
    ['sqlite without a name for it', { kind: 'sqlite', file: '' }],
    ['redis nowhere', { kind: 'redis' }],
    ['a password in the settings', { kind: 'redis', url: 'rediss://redis.internal', password: 'x' }]
  ])('not %s', (_, value) => expect(state.safeParse(value).success).toBe(false))

  it.each([
    'rediss://redis',
    'rediss://10.0.0.1:6380/2',
    'rediss://[2001:db8::1]:6379',
    'redis://127.0.0.1:6379',
    'redis://[::1]/1',
    'redis://localhost'
  ])('at %s', (url) => expect(redis(url)).toBe(true))

  it.each([
    'redis://redis.internal:6379',
    'redis://localhost.evil.test',
    'redis://127.0.0.1.evil.test:6379',
    'redis://127.0.0.1@evil.test',
    'redis://127.0.0.1:6379@evil.test',
    'redis://127.0.0.1:\\evil.test',
    'rediss://user:secret@redis.internal',
    'rediss://',
    'rediss://redis.internal/two',
    'rediss://redis.internal?x=1',
    'http://redis.internal',
    'REDISS://redis.internal'
  ])('not at %s', (url) => expect(redis(url)).toBe(false))
})
