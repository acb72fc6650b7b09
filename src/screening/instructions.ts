/** Words that tell a model to leave its instructions, and questions for secrets. Whole words, in linear time: no pattern is tried twice at one place. */

/** Each is a run of words. */
const PHRASES = [
  'system prompt', 'developer mode', 'do anything now', 'jailbreak', 'you are now in', 'you are no longer', 'new instructions', 'im start system',
  'repeat the words above', 'repeat everything above', 'print your prompt', 'reveal your prompt', 'reveal your instructions', 'show your instructions',
  'without any restrictions', 'do not follow your', 'do not tell the user', 'do not mention this to', 'from now on you', 'act as an unrestricted',
  'begin system message', 'end of system message', 'inst sys', 'override safety'
] // biome-ignore format: a table
const LEAVE = new Set(['ignore', 'disregard', 'forget', 'override', 'bypass', 'neglect', 'discard', 'circumvent', 'dismiss'])
const WHICH = new Set([
  'previous',
  'prior',
  'above',
  'earlier',
  'preceding',
  'former',
  'all',
  'any',
  'your',
  'the',
  'these',
  'those',
  'system',
  'original',
  'initial',
  'every'
])
const RULES = new Set([
  'instruction',
  'instructions',
  'prompt',
  'prompts',
  'rules',
  'guidelines',
  'directives',
  'constraints',
  'restrictions',
  'guardrails',
  'safeguards',
  'programming'
])
const ASK = new Set([
  'show',
  'list',
  'find',
  'give',
  'reveal',
  'dump',
  'print',
  'send',
  'retrieve',
  'search',
  'get',
  'what',
  'all',
  'any',
  'every',
  'extract',
  'leak',
  'expose',
  'tell'
])
const SECRETS = new Set(['password', 'passwords', 'passwd', 'credential', 'credentials', 'passphrase', 'passphrases'])
/** Secrets of two words. */
const SECRET_PAIRS = new Set(
  ['api', 'access', 'private', 'secret', 'ssh', 'encryption', 'signing'].flatMap((first) => [
    `${first} key`,
    `${first} keys`,
    `${first} token`,
    `${first} tokens`
  ])
)
/** Words between the two halves of what is looked for. */
const NEAR = 6
/** So short a text that names a secret asks for it. */
const QUESTION_WORDS = 5

const byFirst = new Map<string, string[][]>()
for (const phrase of PHRASES) {
  const words = phrase.split(' ')
  const [first = ''] = words
  byFirst.set(first, [...(byFirst.get(first) ?? []), words])
}

/** @param words as `wordsOf` gives them */
export function hasInstruction(words: readonly string[]): boolean {
  let left = Number.NEGATIVE_INFINITY
  let which = Number.NEGATIVE_INFINITY
  for (const [at, word] of words.entries()) {
    if (LEAVE.has(word)) left = at
    else if (WHICH.has(word)) which = at
    if (RULES.has(word) && at - left <= NEAR && which > left) return true
    for (const phrase of byFirst.get(word) ?? []) if (phrase.every((one, offset) => words[at + offset] === one)) return true
  }
  return false
}

/** @param words as `wordsOf` gives them */
export function huntsSecrets(words: readonly string[]): boolean {
  let asked = words.length <= QUESTION_WORDS ? 0 : Number.NEGATIVE_INFINITY
  for (const [at, word] of words.entries()) {
    if (ASK.has(word)) asked = at
    if (at - asked <= NEAR && (SECRETS.has(word) || SECRET_PAIRS.has(`${word} ${words[at + 1]}`))) return true
  }
  return false
}
