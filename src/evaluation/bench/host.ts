import type { OnnxSession } from '../../models/index.js'

/** What the bench asks of the place it runs in. A browser offers none of it; what needs it is then left out. */
export interface BenchHost {
  /** Starts a new high-water mark of the process's memory. */
  resetPeak?(): void
  /** The highest resident memory since then, in bytes. */
  peakBytes?(): number
  /** Resident memory now, in bytes. */
  residentBytes?(): number
  collectGarbage?(): void
  /**
   * Runs a session once under the runtime's profiler.
   *
   * @param create Makes the session with the given options beside its own.
   * @returns Share of the time that was spent in nodes whose name starts with `hiprune/`.
   */
  shareOfAddedNodes?(
    create: (options: object) => Promise<OnnxSession>,
    run: (session: OnnxSession) => Promise<unknown>,
  ): Promise<number>
}
