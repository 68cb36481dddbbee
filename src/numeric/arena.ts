import { kernelsWasm } from './kernels-wasm.js'

/** Rows are padded with zeros to a multiple of this many floats, which is what one turn of the kernels' loops takes. */
const ROW_ALIGNMENT = 8

/** Arenas up to this many floats (16 MiB) are kept for the next caller; larger ones are left to the garbage collector. */
const MAX_IDLE_FLOATS = 4 * 1024 * 1024

const BYTES = Float32Array.BYTES_PER_ELEMENT
const PAGE_BYTES = 65_536

/** Row-major float32 vectors in the memory of an {@link Arena}. */
export interface Rows {
  /** `[numRows, width]`. */
  readonly values: Float32Array
  readonly numRows: number
  /** Floats from one row to the next: the vectors' length, padded with zeros to a multiple of 8. */
  readonly width: number
}

/**
 * A block of memory and the kernels that work in it. With WebAssembly SIMD they are some 20 times as fast as a JavaScript
 * loop; without it (an old runtime, a content security policy) plain loops do the same.
 */
export interface Arena {
  /** `[numRows, width]` zeros, `width` rounded up to a multiple of 8. */
  rows(numRows: number, width: number): Rows
  /** `[length]` zeros. */
  floats(length: number): Float32Array
  /**
   * `out[i] = row . b[from + i]` for i below `count`. Every product is summed in the same order, so that equal rows give equal
   * products and ties stay ties.
   *
   * @param row `[width]`, `out` `[count]`: both in this arena, as `b` is.
   */
  dots(row: Float32Array, b: Rows, from: number, count: number, out: Float32Array): void
  /** `row += sum of factors[i] x b[from + i]` for i below the length of `factors`; all in this arena. */
  addRows(row: Float32Array, factors: Float32Array, b: Rows, from: number): void
}

/** Floats that a block of rows takes, for {@link withArena}. */
export function floatsOfRows(numRows: number, width: number): number {
  return numRows * paddedWidth(width)
}

/** Row `i` of a block, as a view. */
export function rowOf({ values, width }: Rows, i: number): Float32Array {
  return values.subarray(i * width, (i + 1) * width)
}

let idle: (Arena & { readonly capacity: number; reset(): void }) | undefined

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
export function createArena(numFloats: number, simd = true): Arena & { readonly capacity: number; reset(): void } {
  const wasm = simd ? instantiate(numFloats) : undefined
  const memory = wasm ? wasm.floats : new Float32Array(numFloats + SLACK)
  let used = 0
  const take = (length: number) => {
    const start = used
    used += paddedWidth(length)
    if (used > memory.length) throw new RangeError(`the arena holds ${memory.length} floats, not ${used}`)
    return memory.subarray(start, start + length).fill(0)
  }
  return {
    capacity: memory.length - SLACK,
    reset: () => (used = 0),
    floats: take,
    rows: (numRows, width) => {
      const padded = paddedWidth(width)
      return { values: take(numRows * padded), numRows, width: padded }
    },
    ...(wasm ? wasm.kernels : plainKernels),
  }
}

type Kernels = Pick<Arena, 'dots' | 'addRows'>

/** What `floats` may lose to alignment, for a few dozen calls. */
const SLACK = 256

function paddedWidth(width: number): number {
  return Math.ceil(width / ROW_ALIGNMENT) * ROW_ALIGNMENT
}

interface KernelExports {
  dots(row: number, b: number, count: number, width: number, out: number): void
  addRows(row: number, factors: number, b: number, count: number, width: number): void
}

let compiled: WebAssembly.Module | undefined

/** Undefined where this runtime has no WebAssembly SIMD, forbids it, or has not that much memory for it. */
function instantiate(numFloats: number): { floats: Float32Array; kernels: Kernels } | undefined {
  try {
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(kernelsWasm), (byte) => byte.charCodeAt(0)))
    const memory = new WebAssembly.Memory({ initial: Math.ceil(((numFloats + SLACK) * BYTES) / PAGE_BYTES) })
    const { exports } = new WebAssembly.Instance(compiled, { js: { memory } })
    return { floats: new Float32Array(memory.buffer), kernels: wasmKernels(exports as unknown as KernelExports) }
  } catch {
    return undefined
  }
}

function wasmKernels({ dots, addRows }: KernelExports): Kernels {
  return {
    dots(row, b, from, count, out) {
      dots(row.byteOffset, b.values.byteOffset + from * b.width * BYTES, count, b.width * BYTES, out.byteOffset)
    },
    addRows(row, factors, b, from) {
      if (factors.length === 0) return
      const start = b.values.byteOffset + from * b.width * BYTES
      addRows(row.byteOffset, factors.byteOffset, start, factors.length, b.width * BYTES)
    },
  }
}

const plainKernels: Kernels = {
  dots(row, b, from, count, out) {
    const { values, width } = b
    for (let i = 0; i < count; i++) out[i] = plainDot(row, values, (from + i) * width, width)
  },
  addRows(row, factors, b, from) {
    const { values, width } = b
    for (let i = 0; i < factors.length; i++) {
      const factor = factors[i] as number
      let at = (from + i) * width
      for (let d = 0; d < width; d++) row[d] = (row[d] as number) + factor * (values[at++] as number)
    }
  },
}

/** Two sums, because one would wait for its own last addition. */
function plainDot(row: Float32Array, values: Float32Array, start: number, width: number): number {
  let even = 0
  let odd = 0
  for (let d = 0; d < width; d += 2) {
    even += (row[d] as number) * (values[start + d] as number)
    odd += (row[d + 1] as number) * (values[start + d + 1] as number)
  }
  return even + odd
}
