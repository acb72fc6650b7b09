/** Loaded before the server: SIGUSR2 makes it fail as a fault nobody thought of would. */
process.on('SIGUSR2', () => {
  setImmediate(() => {
    throw new Error('a fault nobody thought of')
  })
})
