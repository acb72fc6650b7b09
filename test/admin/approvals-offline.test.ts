/** What the commands without a server say of calls that need somebody's yes. */
import { afterAll, describe, expect, it } from 'vitest'
import { folderOf } from '../support/offline.ts'
import { POLICY } from '../support/policy.ts'

const APPROVALS = 'approvals: { actions: [drop, delete], approvers: [spiffe://demo.vecauthz.test/people/alice] }\n'
const folder = folderOf({ 'policy.yaml': POLICY + APPROVALS })
const without = folderOf()
afterAll(() => [folder, without].forEach((one) => void one.remove()))

const drop = (collection: string) =>
  JSON.stringify({
    attributes: {
      request: {
        http: { method: 'DELETE', host: 'chroma.demo.vecauthz.test', path: `/api/v2/tenants/acme/databases/rag/collections/${collection}` }
      }
    }
  })

describe('check, offline', () => {
  const check = async (its: typeof folder, collection: string, who = 'indexer') => {
    const caller = `spiffe://demo.vecauthz.test/acme/${who}`
    const { code, out } = await its.run(
      'check',
      '--config',
      its.path,
      '--request',
      its.file('drop.json', drop(collection)),
      '--assume-caller',
      caller,
      '--json'
    )
    return [code, JSON.parse(out).reason]
  }

  it('a drop needs an approval, where policy says so', async () => {
    expect(await check(folder, 'handbook')).toEqual([1, 'approval-required'])
    expect(await check(without, 'handbook')).toEqual([0, undefined])
  })

  it('what no rule allows is denied before anybody is asked', async () => {
    expect(await check(folder, 'handbook', 'support')).toEqual([1, 'delete-not-allowed'])
    expect(await check(folder, 'unlisted')).toEqual([1, 'collection-not-allowed'])
  })
})
