// Health check of the image: whether the server may be asked. Its words go to `docker inspect`.
import { get } from 'node:http'

const end = (code, words) => process.stdout.write(`${words.trim()}\n`, () => process.exit(code))

get(`http://${process.env.VECAUTHZ_HEALTH}/readyz`, { timeout: 3000 }, (answer) => {
  let words = ''
  answer.setEncoding('utf8').on('data', (text) => {
    words += text
  })
  answer.on('end', () => end(answer.statusCode === 200 ? 0 : 1, words))
})
  .on('timeout', () => end(1, 'no answer in time'))
  .on('error', (cause) => end(1, `no answer: ${cause.code}`))
