import { createMemoryStore } from '../../src/state/store-memory.ts'
import { storeContract } from './store-contract.ts'

storeContract(
  'memory',
  async (bounds) => {
    const store = createMemoryStore(bounds)
    return [store, store]
  },
  { raced: 1_000, runs: 300 }
)
