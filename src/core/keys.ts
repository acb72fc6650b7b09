/** Keys whose parts cannot meet: each part is preceded by its length, so no choice of parts gives another list's key. */
export function key(...parts: readonly string[]): string {
  let text = ''
  for (const part of parts) text += `${part.length}:${part}`
  return text
}
