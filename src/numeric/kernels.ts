import { kernelsWasm } from './kernels-wasm.js'

/** Float32 vectors, one after the other, in the memory of the kernels. */
export interface Rows {
  /** Row-major `[numRows, width]`. */
  readonly values: Float32Array
  readonly numRows: number
  /** Floats from one row to the next: the vectors' length, padded with zeros to a multiple of 8. */
  readonly width: number
}

/** Loops over float32 vectors that all lie in one memory. */
export interface Kernels {
  /**
   * `out[i] = row . b[from + i]` for i below `count`. Every product is summed in the same order, so that equal rows give equal
   * products and ties stay ties.
   *
   * @param row `[width of b]`
   * @param out `[count]` or longer.
   */
  dots(row: Float32Array, b: Rows, from: number, count: number, out: Float32Array): void
  /** `row += sum of factors[i] x b[from + i]` for i below the length of `factors`. */
  addRows(row: Float32Array, factors: Float32Array, b: Rows, from: number): void
}

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT
const PAGE_BYTES = 65_536

/** What kernels.wat exports; pointers and widths in bytes. */
interface KernelExports {
  dots(row: number, b: number, count: number, width: number, out: number): void
  addRows(row: number, factors: number, b: number, count: number, width: number): void
}

let compiled: WebAssembly.Module | undefined

/**
 * The kernels of kernels.wat with a memory of their own. Undefined where this runtime has no WebAssembly SIMD, forbids it, or
 * has not that much memory for it.
 */
export function instantiateKernels(numFloats: number): { memory: Float32Array; kernels: Kernels } | undefined {
  try {
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(kernelsWasm), (byte) => byte.charCodeAt(0)))
    const memory = new WebAssembly.Memory({ initial: Math.ceil((numFloats * FLOAT_BYTES) / PAGE_BYTES) })
    const { exports } = new WebAssembly.Instance(compiled, { js: { memory } })
    return { memory: new Float32Array(memory.buffer), kernels: wasmKernels(exports as unknown as KernelExports) }
  } catch {
    return undefined
  }
}

function wasmKernels({ dots, addRows }: KernelExports): Kernels {
  const pointer = ({ values, width }: Rows, row: number) => values.byteOffset + row * width * FLOAT_BYTES
  return {
    dots(row, b, from, count, out) {
      dots(row.byteOffset, pointer(b, from), count, b.width * FLOAT_BYTES, out.byteOffset)
    },
    addRows(row, factors, b, from) {
      if (factors.length === 0) return
      addRows(row.byteOffset, factors.byteOffset, pointer(b, from), factors.length, b.width * FLOAT_BYTES)
    },
  }
}

export const plainKernels: Kernels = {
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

/** Two sums, because a single one would wait for its own last addition. */
function plainDot(row: Float32Array, values: Float32Array, start: number, width: number): number {
  let even = 0
  let odd = 0
  for (let d = 0; d < width; d += 2) {
    even += (row[d] as number) * (values[start + d] as number)
    odd += (row[d + 1] as number) * (values[start + d + 1] as number)
  }
  return even + odd
}
