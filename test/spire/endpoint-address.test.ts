import { describe, expect, it } from 'vitest'
import { readEndpointAddress } from '../../src/spire/endpoint-address.ts'

describe('the address of the Workload API', () => {
  const good = [
    { name: 'E-2: three slashes and a path', text: 'unix:///run/spire/agent/api.sock', target: 'unix:/run/spire/agent/api.sock' },
    { name: 'E-2: no authority at all', text: 'unix:/run/a.sock', target: 'unix:/run/a.sock' },
    { name: 'E-3: IPv4 and port', text: 'tcp://127.0.0.1:8000', target: 'ipv4:127.0.0.1:8000' },
    { name: 'E-3: IPv6 and port', text: 'tcp://[::1]:8000', target: 'ipv6:[::1]:8000' },
    { name: 'E-3: the largest port', text: 'tcp://127.0.0.1:65535', target: 'ipv4:127.0.0.1:65535' }
  ]
  it.each(good)('$name', ({ text, target }) => {
    expect(readEndpointAddress(text, undefined)).toEqual({ ok: true, address: { text, target } })
  })

  const bad = [
    { name: 'E-2: a host where the path should be', text: 'unix://run/a.sock' },
    { name: 'E-2: a relative path', text: 'unix:a.sock' },
    { name: 'E-2: a query', text: 'unix:///a?x' },
    { name: 'E-2: a fragment', text: 'unix:///a#x' },
    { name: 'E-2: a percent sign, which has two readings', text: 'unix:///a%2Fb' },
    { name: 'E-2: no path', text: 'unix:///' },
    { name: 'E-2: a newline', text: 'unix:///a\nb' },
    { name: 'E-3: a host name', text: 'tcp://localhost:8000' },
    { name: 'E-3: no port', text: 'tcp://127.0.0.1' },
    { name: 'E-3: a path', text: 'tcp://127.0.0.1:8000/' },
    { name: 'E-3: a user', text: 'tcp://a@127.0.0.1:8000' },
    { name: 'E-3: port 0', text: 'tcp://127.0.0.1:0' },
    { name: 'E-3: a port beyond the last', text: 'tcp://127.0.0.1:65536' },
    { name: 'E-3: an octal-looking IPv4', text: 'tcp://127.0.0.01:8000' },
    { name: 'E-3: IPv6 without brackets', text: 'tcp://::1:8000' },
    { name: 'E-1: another scheme', text: 'http://127.0.0.1:8000' },
    { name: 'E-1: no scheme', text: '/run/a.sock' }
  ]
  it.each(bad)('refused, $name', ({ text }) => {
    const read = readEndpointAddress(text, undefined)
    expect(read.ok).toBe(false)
    if (!read.ok) expect(read.detail).toContain(JSON.stringify(text))
  })

  it('E-1: the setting wins over SPIFFE_ENDPOINT_SOCKET, and a wrong one is not replaced by it', () => {
    expect(readEndpointAddress('unix:/a', 'unix:/b')).toMatchObject({ ok: true, address: { target: 'unix:/a' } })
    expect(readEndpointAddress(undefined, 'unix:/b')).toMatchObject({ ok: true, address: { target: 'unix:/b' } })
    expect(readEndpointAddress('http://x', 'unix:/b')).toMatchObject({ ok: false })
  })

  it.each([
    [undefined, undefined],
    ['', 'unix:/b'],
    [undefined, '']
  ])('E-1: neither set (%j, %j) is an error that names the variable', (setting, environment) => {
    expect(readEndpointAddress(setting, environment)).toMatchObject({
      ok: false,
      detail: expect.stringContaining('SPIFFE_ENDPOINT_SOCKET')
    })
  })
})
