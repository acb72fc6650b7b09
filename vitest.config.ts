import { defineConfig } from 'vitest/config'

// Two projects: `unit` needs nothing but node, `integration` needs the real components that set-up fetches.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          // One after the other: what runs beside real servers must not starve them.
          sequence: { groupOrder: 0 },
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**'],
          // None is slow; a machine can be.
          testTimeout: 30_000
        }
      },
      {
        test: {
          name: 'integration',
          sequence: { groupOrder: 1 },
          include: ['test/integration/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000
        }
      }
    ]
  }
})
