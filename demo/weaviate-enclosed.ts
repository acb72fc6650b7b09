#!/usr/bin/env node
/**
 * Runs inside a network namespace: brings loopback up, starts the server after `--` and passes unix sockets on to its ports.
 * Usage: weaviate-enclosed.ts SOCKET=PORT … -- COMMAND ARGUMENT …
 */
import { spawn, spawnSync } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { dyingWithParent } from './envoy.ts'

const words = process.argv.slice(2)
const end = words.indexOf('--')
const [binary = '', ...args] = words.slice(end + 1)

spawnSync('ip', ['link', 'set', 'lo', 'up'], { stdio: 'inherit' })
const [command, before] = dyingWithParent(binary)
const child = spawn(command, [...before, ...args], { stdio: 'inherit' })
child.once('error', (cause) => {
  process.stderr.write(`${cause.message}\n`)
  process.exit(1)
})
child.once('exit', (code) => process.exit(code ?? 1))
process.on('SIGTERM', () => child.kill('SIGTERM'))

for (const relay of words.slice(0, end)) {
  const [socketPath = '', port = ''] = relay.split('=')
  const server = createServer((client) => {
    const database = connect(Number(port), '127.0.0.1')
    client.on('error', () => database.destroy())
    client.on('close', () => database.destroy())
    database.on('error', () => client.destroy())
    database.on('close', () => client.destroy())
    client.pipe(database).pipe(client)
  })
  server.listen(socketPath)
}
