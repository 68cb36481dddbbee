import { ArgumentError } from '../index.js'

/** An integer from 1, as typed on the command line. */
export function positiveInteger(option: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new ArgumentError(option, text, 'an integer from 1')
  return Number(text)
}

/** A finite number, as typed on the command line. */
export function finiteNumber(option: string, text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new ArgumentError(option, text, 'a number')
  return value
}
