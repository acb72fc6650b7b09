/** Text as its words: lower case, without what only hides them (invisible characters, look-alike letters, full-width forms). */

const INVISIBLE = /[\p{Cf}\p{Mn}]/gu
const ASCII_WORDS = /[a-z0-9]+/g
const WORDS = /[\p{L}\p{N}]+/gu
const ASCII = /^[\x00-\x7f]*$/

/** Letters of other scripts that look like ours in most fonts. */
const LOOK_ALIKE: Readonly<Record<string, string>> = {
  а: 'a', в: 'b', с: 'c', ԁ: 'd', е: 'e', һ: 'h', і: 'i', ј: 'j', к: 'k', м: 'm', н: 'h', о: 'o', р: 'p', ԛ: 'q', ѕ: 's', т: 't', у: 'y', х: 'x', ѡ: 'w',
  α: 'a', ε: 'e', ι: 'i', κ: 'k', ν: 'v', ο: 'o', ρ: 'p', τ: 't', υ: 'u', χ: 'x', ı: 'i', ɡ: 'g'
} // biome-ignore format: a table

/** In linear time. */
export function wordsOf(text: string): readonly string[] {
  if (ASCII.test(text)) return text.toLowerCase().match(ASCII_WORDS) ?? []
  const plain = text.normalize('NFKD').replace(INVISIBLE, '').toLowerCase()
  let spelled = ''
  for (const letter of plain) spelled += LOOK_ALIKE[letter] ?? letter
  return spelled.match(WORDS) ?? []
}
