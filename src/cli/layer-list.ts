import { ArgumentError } from '../index.js'

/** `9,23` as numbers; whether the encoder has these layers is checked where they are used. */
export function layerList(option: string, text: string): number[] {
  if (!/^\d{1,4}(\s*,\s*\d{1,4})*$/.test(text.trim()))
    throw new ArgumentError(option, text, '1-based layers such as 9,23')
  return text.split(',').map(Number)
}
