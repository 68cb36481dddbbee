import { instantiateKernels, plainKernels, type Kernels, type Rows } from './kernels.js'

export type { Rows } from './kernels.js'

/** Rows are padded with zeros to a multiple of this many floats, which is what one turn of the kernels' loops takes. */
const ALIGNMENT = 8

/** Room for what {@link Arena.floats} loses to alignment, for a few dozen calls. */
const SLACK = 256

/** Arenas up to this many floats (16 MiB) are kept for the next caller; larger ones are left to the garbage collector. */
const MAX_IDLE_FLOATS = 4 * 1024 * 1024

/**
 * A block of memory and the kernels that work in it. With WebAssembly SIMD they are some 20 times as fast as a loop in
 * JavaScript; without it (an old runtime, a content security policy) plain loops do the same.
 */
export interface Arena extends Kernels {
  /** Floats that it can hold. */
  readonly capacity: number
  /** `[numRows, width]` zeros, `width` rounded up to a multiple of 8. */
  rows(numRows: number, width: number): Rows
  /** `[length]` zeros. */
  floats(length: number): Float32Array
  /** Gives all of the memory back: what was handed out must not be used any more. */
  reset(): void
}

/** Floats that {@link Arena.rows} takes. */
export function floatsOfRows(numRows: number, width: number): number {
  return numRows * aligned(width)
}

/** Row `i` as a view. */
export function rowOf({ values, width }: Rows, i: number): Float32Array {
  return values.subarray(i * width, (i + 1) * width)
}

let idle: Arena | undefined

/**
 * Runs `work` with an arena that has room for `numFloats` floats. Nothing from the arena may outlive the call: the next caller
 * gets the same memory.
 */
export function withArena<T>(numFloats: number, work: (arena: Arena) => T): T {
  const arena = idle && idle.capacity >= numFloats ? idle : createArena(numFloats)
  idle = undefined
  try {
    return work(arena)
  } finally {
    arena.reset()
    if (arena.capacity <= MAX_IDLE_FLOATS) idle = arena
  }
}

/** @param simd False for the plain loops, which tests compare. */
export function createArena(numFloats: number, simd = true): Arena {
  const fast = simd ? instantiateKernels(numFloats + SLACK) : undefined
  const memory = fast ? fast.memory : new Float32Array(numFloats + SLACK)
  let used = 0
  const floats = (length: number) => {
    const start = used
    used += aligned(length)
    if (used > memory.length) throw new RangeError(`the arena holds ${memory.length} floats, not ${used}`)
    return memory.subarray(start, start + length).fill(0)
  }
  return {
    ...(fast ? fast.kernels : plainKernels),
    capacity: memory.length - SLACK,
    floats,
    rows: (numRows, width) => ({ values: floats(numRows * aligned(width)), numRows, width: aligned(width) }),
    reset: () => void (used = 0),
  }
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}
