/** The real servers that the differential knows. */
import { chromaBench } from './chroma.ts'

export const BENCHES = { chroma: chromaBench } as const
