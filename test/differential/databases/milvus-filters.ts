/** Filters of Milvus that may or may not hold records to one tenant: trees of conditions, and texts that no tree prints. */
import { OURS, THEIRS } from './decision.ts'
import type { Dice } from './dice.ts'

const PIN = `tenant == "${OURS}"`
const ATOMS = [
  'id >= 0',
  'id > 0',
  'doc["page"] > 0',
  'doc["page"] in [1, 2]',
  `tenant == "${THEIRS}"`,
  `tenant in ["${OURS}", "${THEIRS}"]`,
  `tenant != "${OURS}"`,
  'tenant like "%"',
  `tenant > "a"`,
  'exists doc["page"]',
  'true',
  '1 == 1',
  'id in [1, 2, 3]',
  'json_contains(doc["tags"], "x")'
]
const PINS = [
  PIN,
  `tenant == '${OURS}'`,
  `"${OURS}" == tenant`,
  `tenant in ["${OURS}"]`,
  `tenant=="${OURS}"`,
  `(${PIN})`,
  `tenant  ==\t"${OURS}"`
]
const ANDS = [' and ', ' && ', ' AND ', '&&', ' And ']
const ORS = [' or ', ' || ', ' OR ', '||', ' oR ']
const NOTS = ['not ', '!', 'NOT ', 'not(', '! ']

/** Around `%`, the filter that was there. */
const FRAMES = [
  '(%)',
  '((%))',
  '% and id >= 0',
  'id >= 0 and %',
  '% and (id >= 0 or id < 0)',
  '% && doc["page"] > 0',
  '% or id >= 0',
  'id >= 0 or %',
  '% || id > 0',
  '% and id > 0 or id > 0',
  'id > 0 or id > 0 and %',
  '(% or id > 0)',
  'not (%)',
  '!(%)',
  'not %',
  '% == true',
  '% != false',
  '% | id > 0',
  '% and id > 0 | 1',
  '% and doc["x)"] == "(" or id > 0',
  '% and doc["a"] == "\\" or id > 0 or \\""',
  "% and doc['a'] == 'it\\'s' or id > 0",
  '% # or id > 0',
  '% -- x',
  '% /* */ or id > 0',
  '%\nor id > 0',
  '%\u00a0or id > 0',
  '% or/**/id > 0',
  '%;id > 0',
  '% , id > 0',
  '% xor id > 0',
  '% and not id < 0',
  '[%]',
  '% and text_match(tenant, "x") or 1 == 1',
  '% ** 2',
  '%)or(id > 0',
  '(%) or (id > 0)',
  '% and',
  'or %',
  '0 < id < 9223372036854775807 and %',
  '% and $meta["page"] > 0',
  '% or random_sample(0.99)',
  'random_sample(0.99, %)',
  '% and random_sample(0.99)',
  '% == %',
  '% != %'
]
const WHOLES = [
  '',
  ' ',
  'id >= 0',
  `tenant == "${THEIRS}"`,
  `tenant == "${OURS}" "${THEIRS}"`,
  `tenant == r"${OURS}"`,
  `tenant == "\\u0061cme"`,
  `tenant == "acm\\145"`,
  `TENANT == "${OURS}"`,
  `Tenant == "${OURS}"`,
  `$meta["tenant"] == "${OURS}"`,
  `$meta.tenant == "${OURS}"`,
  `doc["tenant"] == "${OURS}"`,
  `tenant == {tenant}`,
  `tenant in {tenants}`,
  `tenant == "${OURS}" and tenant == "${THEIRS}"`,
  `tenant in ["${OURS}",]`,
  `tenant in "${OURS}"`,
  `tenant not in ["${THEIRS}"]`,
  `tenant == "${OURS}" or tenant == "${THEIRS}"`,
  `tenant <= "${THEIRS}"`,
  `tenant like "${OURS}%"`,
  `"a" < tenant < "z"`,
  `tenant == "${OURS}" == "${OURS}"`,
  `tenant = "${OURS}"`,
  `tenant === "${OURS}"`,
  `tenant is not null`,
  `not tenant == "${THEIRS}"`,
  `id in [1] or ${PIN}`,
  `${PIN} and id in [1, 2, 3, 4, 5, 6, 7, 8]`
]

/** @param filter the one that is there; for a tenant that must be proved it has the pin in it */
export function oddFilter(dice: Dice, filter: string): string {
  const roll = dice.roll()
  if (roll < 0.3) return `${dice.pick(PINS)}${dice.pick(ANDS.slice(0, 3))}${tree(dice, 3)}`
  if (roll < 0.4) return `${tree(dice, 2)}${dice.pick(ANDS)}${dice.pick(PINS)}`
  if (roll < 0.5) return tree(dice, 3)
  if (roll < 0.8) return framed(dice, filter)
  if (roll < 0.88) return framed(dice, framed(dice, filter))
  if (roll < 0.93) return broken(dice, filter)
  return dice.pick(WHOLES)
}

const framed = (dice: Dice, filter: string): string => dice.pick(FRAMES).replaceAll('%', () => filter)

/** A character more, less or other. */
function broken(dice: Dice, filter: string): string {
  const at = dice.below(filter.length + 1)
  const put = dice.pick(['"', "'", '(', ')', '\\', ' ', '', '!', '|', '&', '\n', '\0', '\u200b', '%', '{', 'or', ' or ', '0'])
  return filter.slice(0, at) + put + filter.slice(at + dice.below(3))
}

function tree(dice: Dice, depth: number): string {
  const roll = dice.roll()
  if (depth === 0 || roll < 0.3) return dice.chance(0.3) ? dice.pick(PINS) : dice.pick(ATOMS)
  const [left, right] = [tree(dice, depth - 1), tree(dice, depth - 1)]
  const side = (text: string) => (dice.chance(0.6) ? `(${text})` : text)
  if (roll < 0.6) return `${side(left)}${dice.pick(ANDS)}${side(right)}`
  if (roll < 0.85) return `${side(left)}${dice.pick(ORS)}${side(right)}`
  const not = dice.pick(NOTS)
  return `${not}${not.endsWith('(') ? `${left})` : `(${left})`}`
}
