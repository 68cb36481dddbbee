import type { ProgressCallback, ProgressInfo } from '@huggingface/transformers'
import { SingleBar } from 'cli-progress'

/** A progress bar on stderr for a model that is being fetched; undefined without a terminal. */
export function loadingProgress(): { update: ProgressCallback; stop: () => void } | undefined {
  if (!process.stderr.isTTY) return undefined
  const bar = new SingleBar({
    stream: process.stderr,
    format: 'loading |{bar}| {percentage}% of {total} MB',
    hideCursor: true,
    clearOnComplete: true,
  })
  let started = false
  return {
    update(info: ProgressInfo) {
      if (info.status !== 'progress_total') return
      const total = Math.max(1, Math.round(info.total / 1e6))
      if (started) bar.update(Math.round(info.loaded / 1e6))
      else bar.start(total, 0)
      started = true
    },
    stop: () => bar.stop(),
  }
}
