// Health check of the tools: whether somebody answers at a port of loopback or at a socket. A file of its own, because it runs every few
// seconds in each container, and starting Node is most of what it costs.
import { connect } from 'node:net'

const place = process.argv[2] ?? ''
connect(place.startsWith('/') ? { path: place } : { host: '127.0.0.1', port: Number(place) })
  .once('connect', () => process.exit(0))
  .once('error', () => process.exit(1))
