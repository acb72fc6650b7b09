/** A real Chromium without a screen, with a profile of its own, that reaches this host only. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, launch } from 'puppeteer-core'
import { chromiumBinary } from '../../../setup/components.ts'

export interface Chromium {
  readonly browser: Browser
  readonly stop: () => Promise<void>
}

export async function startChromium(): Promise<Chromium> {
  const userDataDir = mkdtempSync(join(tmpdir(), 'vc-chromium-'))
  const browser = await launch({
    executablePath: chromiumBinary(),
    userDataDir,
    // A container's root has no sandbox of its own; pages are ours.
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
    timeout: 60_000
  })
  return {
    browser,
    async stop() {
      await browser.close()
      rmSync(userDataDir, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}
