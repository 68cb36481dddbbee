import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import v8 from 'node:v8'
import vm from 'node:vm'
import { env } from '@huggingface/transformers'
import type { BenchHost, Machine } from '../evaluation/index.js'
import { cpuModel, packageVersions } from './machine.js'

/** Memory and profiles of a Node process; the high-water mark exists on Linux only. */
export function nodeHost(): BenchHost {
  return {
    ...(canResetPeak() && { resetPeak, peakBytes }),
    residentBytes: () => process.memoryUsage.rss(),
    collectGarbage: garbageCollector(),
    shareOfAddedNodes,
  }
}

function canResetPeak(): boolean {
  try {
    resetPeak()
    return peakBytes() > 0
  } catch {
    return false
  }
}

function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

function peakBytes(): number {
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}

/** Also without --expose-gc on the command line. */
function garbageCollector(): () => void {
  v8.setFlagsFromString('--expose-gc')
  return vm.runInNewContext('gc') as () => void
}

/** Runs in the profile; the first allocates. */
const PROFILED_RUNS = 3

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly dur: number
}

const shareOfAddedNodes: NonNullable<BenchHost['shareOfAddedNodes']> = async (create, run) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-profile-'))
  try {
    const session = await create({ enableProfiling: true, profileFilePrefix: path.join(folder, 'run') })
    for (let i = 0; i < PROFILED_RUNS; i++) await run(session)
    ;(session as unknown as { endProfiling(): void }).endProfiling()
    await session.release()
    const [file = ''] = await readdir(folder)
    const events = JSON.parse(await readFile(path.join(folder, file), 'utf8')) as ProfileEvent[]
    const nodes = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
    const sum = (list: readonly ProfileEvent[]) => list.reduce((total, { dur }) => total + dur, 0)
    return sum(nodes.filter(({ name }) => name.startsWith('hiprune/'))) / sum(nodes)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where and when the measurement was made. */
export function describeMachine(threads: string | undefined, loadBefore: number): Machine {
  const { hiprune, onnxruntime } = packageVersions()
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpuModel(),
    cores: os.cpus().length,
    memoryBytes: os.totalmem(),
    versions: {
      hiprune,
      Node: process.version,
      'Transformers.js': env.version,
      'onnxruntime-node': onnxruntime,
    },
    threads: threads ?? "the runtime's default",
    load: [loadBefore, os.loadavg()[0] ?? 0],
  }
}
