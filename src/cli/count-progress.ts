import { SingleBar } from 'cli-progress'

/** A progress bar on stderr that counts; undefined without a terminal. */
export function countProgress(
  what: string,
  done: number,
  total: number,
): { update: (done: number) => void; stop: () => void } | undefined {
  if (!process.stderr.isTTY) return undefined
  const bar = new SingleBar({
    stream: process.stderr,
    format: `${what} |{bar}| {value}/{total}, {eta_formatted} left`,
    hideCursor: true,
    clearOnComplete: true,
  })
  bar.start(total, done)
  return { update: (value) => bar.update(value), stop: () => bar.stop() }
}
