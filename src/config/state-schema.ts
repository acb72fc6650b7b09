/** `state` of the settings: where what several processes must know together is kept. */
import { z } from 'zod'

/** Without TLS, whoever is on the way can say that a token was never used. */
const REDIS = /^(rediss:\/\/([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])|redis:\/\/(127\.0\.0\.1|\[::1\]|localhost))(:\d{1,5})?(\/\d{1,3})?$/

export const state = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('memory').describe('Of this process: forgotten when it ends, and unknown to any other') }),
  z.strictObject({
    kind: z.literal('sqlite').describe('A file for all processes of one host; it outlives them'),
    file: z.string().min(1).describe('The file, on a local disk, relative to this file; `-wal` and `-shm` lie beside it')
  }),
  z.strictObject({
    kind: z.literal('redis').describe('For several hosts: Redis 6.2 or newer, or Valkey, with maxmemory-policy noeviction'),
    url: z
      .string()
      .regex(REDIS, 'must be rediss://host:port, with /number of a database if wanted (redis:// for loopback only)')
      .describe('rediss://host:port, without credentials'),
    ca_file: z
      .string()
      .min(1)
      .optional()
      .describe('PEM of the authorities for that host, instead of the public ones, relative to this file'),
    username: z.string().min(1).max(128).optional().describe('ACL user; without it the default user'),
    password_file: z.string().min(1).optional().describe('File that holds the password, relative to this file')
  })
])
