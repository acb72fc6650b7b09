import { isIPv4, isIPv6 } from 'node:net'

/** Where a Workload API is, in the form that grpc-js dials. */
export interface EndpointAddress {
  /** As it was written, for messages. */
  readonly text: string
  /** grpc-js target: `unix:/run/agent.sock` or `ipv4:127.0.0.1:8000`. */
  readonly target: string
}

export type EndpointReading = { readonly ok: true; readonly address: EndpointAddress } | { readonly ok: false; readonly detail: string }

/**
 * Chooses and reads the address of the Workload API (SPIFFE Workload Endpoint §4; rules E-1 to E-3): the explicit setting first,
 * else the value of SPIFFE_ENDPOINT_SOCKET. What the standard does not name is refused, never repaired.
 */
export function readEndpointAddress(setting: string | undefined, environment: string | undefined): EndpointReading {
  const text = setting ?? environment
  if (text === undefined || text === '') {
    return bad('No Workload API address: set one, or set SPIFFE_ENDPOINT_SOCKET to something like unix:///run/spire/agent/api.sock.')
  }
  if (text.startsWith('unix:')) return readUnix(text)
  if (text.startsWith('tcp:')) return readTcp(text)
  return bad(`The Workload API address ${quoted(text)} must begin with unix: or tcp:.`)
}

function readUnix(text: string): EndpointReading {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text.slice('unix:'.length)
  // Two slashes announce an authority, so what follows them is a path only when it begins with a third.
  if (!path.startsWith('/') || path === '/') {
    return bad(`The Workload API address ${quoted(text)} must hold an absolute path and no host, such as unix:///run/agent.sock.`)
  }
  // '%' would be decoded by some readers and not by others; '?' and '#' start components that the standard forbids.
  if (/[\0-\x20\x7f?#%]/.test(path)) {
    return bad(`The Workload API address ${quoted(text)} may not hold '?', '#', '%', spaces or control characters.`)
  }
  return { ok: true, address: { text, target: `unix:${path}` } }
}

function readTcp(text: string): EndpointReading {
  const parts = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/.exec(text)
  const [, six, four, port] = parts ?? []
  const host = six !== undefined && isIPv6(six) ? `ipv6:[${six}]` : four !== undefined && isIPv4(four) ? `ipv4:${four}` : undefined
  if (host === undefined || Number(port) > 65_535) {
    return bad(
      `The Workload API address ${quoted(text)} must be tcp://, an IP address, a port and nothing else, such as tcp://127.0.0.1:8000.`
    )
  }
  return { ok: true, address: { text, target: `${host}:${port}` } }
}

function bad(detail: string): EndpointReading {
  return { ok: false, detail }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
