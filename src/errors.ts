/** Everything this package throws on purpose. `message` is one line: what, what was got, what is allowed, what to do. */
export class HipruneError extends Error {
  override name = 'HipruneError'
}

/** An argument is outside what is allowed. The command line ends with exit code 2. */
export class ArgumentError extends HipruneError {
  override name = 'ArgumentError'
  constructor(
    /** The argument's name as the caller wrote it, e.g. `alpha`. */
    readonly argument: string,
    got: unknown,
    allowed: string,
  ) {
    super(`${argument}: got ${describe(got)}, allowed: ${allowed}`)
  }
}

/** A model file, its folder or its graph cannot be used. The command line ends with exit code 1. */
export class ModelError extends HipruneError {
  override name = 'ModelError'
}

/** An image cannot be read. The command line ends with exit code 1. */
export class ImageError extends HipruneError {
  override name = 'ImageError'
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
  if (typeof value === 'number' || typeof value === 'bigint' || value == null) return String(value)
  if (typeof value === 'object' && 'length' in value)
    return `${value.constructor.name} of length ${String(value.length)}`
  return typeof value
}
