/** The real servers that the differential knows. */
import { chromaBench } from './chroma.ts'
import { milvusBench } from './milvus.ts'
import { weaviateBench } from './weaviate.ts'

export const BENCHES = { chroma: chromaBench, milvus: milvusBench, weaviate: weaviateBench } as const
