/** A vitest reporter that says of each skipped test why it did not run: the note given to `skip()`. */
// biome-ignore lint/style/noDefaultExport: vitest takes a reporter, a class, from a file's default export
export default class Skipped {
  onTestRunEnd(modules) {
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const { note } = test.result()
        process.stdout.write(`Skipped: ${test.fullName} (${module.relativeModuleId}): ${note ?? 'no reason given'}\n`)
      }
    }
  }
}
