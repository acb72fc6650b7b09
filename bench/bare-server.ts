/**
 * What a decision is measured against: the same bytes in, the smallest CheckResponse out, nothing decided. `grpc`: grpc-js with
 * raw buffers; `http2`: node:http2 by hand, the floor of this runtime. Both over mTLS, as `vecauthz serve` is.
 *
 * node bench/bare-server.ts grpc|http2 KEY CERT CA
 */
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import * as grpc from '@grpc/grpc-js'

const [kind, keyFile = '', certFile = '', caFile = ''] = process.argv.slice(2)
const [key, cert, ca] = [keyFile, certFile, caFile].map((file) => readFileSync(file)) as [Buffer, Buffer, Buffer]
/** CheckResponse { status { code: 0 } } */
const OK = Buffer.from([0x0a, 0x00])
const PATH = '/envoy.service.auth.v3.Authorization/Check'

const say = (port: number) => process.stdout.write(`${JSON.stringify({ msg: 'serving', port })}\n`)

if (kind === 'grpc') {
  const raw = (bytes: Buffer) => bytes
  const server = new grpc.Server({ 'grpc.enable_channelz': 0, 'grpc.max_concurrent_streams': 1_024 })
  const check = {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw
  }
  server.addService({ check }, { check: (_: unknown, callback: grpc.sendUnaryData<Buffer>) => callback(null, OK) })
  const credentials = grpc.ServerCredentials.createSsl(ca, [{ private_key: key, cert_chain: cert }], true)
  server.bindAsync('127.0.0.1:0', credentials, (_, port) => say(port))
} else {
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, OK.length]), OK])
  const server = createSecureServer({ key, cert, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' })
  server.on('stream', (stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      Buffer.concat(chunks)
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(frame)
    })
  })
  server.listen(0, '127.0.0.1', () => say((server.address() as AddressInfo).port))
}
