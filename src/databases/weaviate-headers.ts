/** Headers by which a caller steers the modules of the server: with whose key they call which service, and what they send there. */
import { type Refused, refuse } from '../core/deny-reason.ts'

/**
 * Every header that a module of 1.35 reads (modules/), and whatever names a key or an address for one that comes later. With a
 * base URL or somebody's Azure resource, the contents of objects go where the caller says.
 */
const MODULE_HEADER = new RegExp(
  [
    '^x-.*-(api-?key|base-?url)$',
    '^x-(anthropic|anyscale|cohere|contextualai|databricks|friendli|huggingface|jinaai|mistral|nvidia|ollama|openai|palm|voyageai|xai)-',
    '^x-azure-(resource-name|deployment-id|concurrency|block-size)$',
    '^x-aws-(access-key|secret-key|session-token)$',
    '^x-amzn-sagemaker-',
    '-ratelimit-(request|token)pm-embedding$'
  ].join('|')
)

/** @returns the fault, or undefined: no header that speaks to a module */
export function checkModuleHeaders(headers: ReadonlyMap<string, string>): Refused | undefined {
  for (const name of headers.keys()) {
    if (name.startsWith('x-') && MODULE_HEADER.test(name))
      return refuse('operation-unknown', `header ${name} speaks to a module`, 'Keys and addresses of modules are set up at the server.')
  }
  return undefined
}
