/** `vecauthz audit verify` as a command: what it reads, what it says, and how it ends. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { auditCommand } from '../../src/admin/audit-verify.ts'
import { createChain } from '../../src/audit/chain.ts'

const root = mkdtempSync(join(tmpdir(), 'vfy-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function run(...args: string[]) {
  let [out, err] = ['', '']
  const print = (text: string) => {
    out += text
  }
  const complain = (text: string) => {
    err += text
  }
  return { code: await auditCommand(args, { print, complain }), out, err }
}

const chain = createChain('00112233445566aa', 'agents')
const sealed = (from: number, to: number) =>
  Array.from(
    { length: to - from },
    (_, at) => `${JSON.stringify({ ts: `2026-11-21T00:00:0${from + at}.000Z`, decision_id: `d${from + at}` })}\n`
  ).join('')
const write = (name: string, text: string | Buffer) => {
  writeFileSync(join(root, name), text)
  return join(root, name)
}
// The open file's name sorts before that of the one that was put aside.
const older = write('audit.jsonl.2026', chain.seal(Buffer.from(sealed(0, 4))))
const newer = write('audit.jsonl', chain.seal(Buffer.from(sealed(4, 9))))

it('reads files in the order of their records', async () => {
  const { code, out } = await run('verify', newer, older)
  expect(code).toBe(0)
  expect(out).toContain('yes  every record is in its place')
  expect(out).toContain('9 records, up to 9; no signed head')
  expect(out).toContain('without --anchors, an end that was cut off is not seen')
})

it('says what is wrong with file and line', async () => {
  const changed = write('changed.jsonl', readFileSync(newer, 'utf8').replace('"d5"', '"d6"'))
  const { code, out } = await run('verify', older, changed)
  expect(code).toBe(1)
  expect(out).toContain(`no   ${changed}:2: altered: record 6`)
  const { out: json } = await run('verify', older, changed, '--json')
  expect(JSON.parse(json)).toMatchObject({ verdict: 'bad', findings: [{ kind: 'altered', at: `${changed}:2` }] })
})

it('of a part says nothing about what was before it', async () => {
  expect((await run('verify', newer)).code).toBe(1)
  expect((await run('verify', newer, '--partial')).code).toBe(0)
})

it.each([
  { name: 'no file', args: ['verify'], says: 'Say which files hold the records' },
  { name: 'a file that is not there', args: ['verify', join(root, 'nowhere')], says: 'There is no file' },
  { name: 'heads that nobody vouches for', args: ['verify', newer, '--anchors', older], says: '--bundle FILE' },
  { name: 'a bundle that is none', args: ['verify', newer, '--anchors', older, '--bundle', older], says: 'The bundle is no PEM.' },
  { name: 'another command', args: ['prune'], says: 'There is no command "audit prune"' },
  { name: 'an option that there is not', args: ['verify', newer, '--force'], says: 'see --help' }
])('cannot say: $name', async ({ args, says }) => {
  const { code, err } = await run(...args)
  expect([code, err]).toEqual([2, expect.stringContaining(says)])
})

it('a head that is none is a finding', async () => {
  const bundle = write('bundle.pem', '')
  const anchors = write('heads.jsonl', '{"jws":"x.y.z"}\nnothing\n')
  const { code, out } = await run('verify', older, newer, '--anchors', anchors, '--bundle', bundle)
  expect(code).toBe(1)
  for (const at of [1, 2]) expect(out).toContain(`no   ${anchors}:${at}: bad-anchor: `)
})

it('has a help that names every option', async () => {
  const { code, out } = await run('--help')
  expect(code).toBe(0)
  for (const option of ['--anchors', '--bundle', '--issuer', '--partial', '--json']) expect(out).toContain(option)
})
