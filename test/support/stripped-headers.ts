/** Headers that no client may bring to the check, or to the database. */
export const STRIPPED = [
  'x-tenant-id',
  'x-tenant',
  'x-vecauthz-tenant',
  'x-vecauthz-caller',
  'x-vecauthz-decision',
  'x-vecauthz-n',
  'x-vecauthz-en',
  'x-vecauthz-ken',
  'x-vecauthz-oken',
  'x-vecauthz-tokens',
  'x-vecauthz-mytoken',
  'x-envoy-auth-partial-body',
  'x-envoy-auth-failure-mode-allowed',
  'x-envoy-original-path',
  'x-envoy-decorator-operation',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-path',
  'x-forwarded-prefix',
  'forwarded',
  'x-real-ip',
  'api-key',
  'x-api-key',
  'x-chroma-token',
  'proxy-authorization',
  'x-proxy-user',
  'x-pinecone-api-version',
  'x-openai-api-key',
  'x-openai-baseurl'
] as const

/** Headers that are input to vecauthz, or plain HTTP, and stay. */
export const KEPT = [
  'authorization',
  // vecauthz overwrites the one and removes the other.
  'dbname',
  'db-name',
  'x-vecauthz-policy-token',
  'x-vecauthz-subject-token',
  'x-request-tag',
  'content-type',
  'accept'
] as const
