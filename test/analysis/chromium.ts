import { existsSync } from 'node:fs'

/** Where a Chromium is looked for; HIPRUNE_CHROMIUM names another one. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The system's Chromium, or undefined. */
export const chromiumPath = [process.env['HIPRUNE_CHROMIUM'] ?? '', ...PLACES].find((file) => existsSync(file))

/** Flags for a browser that runs alone, also as root in a container, and calls nobody. */
export const chromiumFlags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
