/** Where an example's picture comes from. */
export type ImageSource = { readonly path: string } | { readonly base64: string }

/** One question of a data set, ready to be asked. */
export interface Example {
  /** The set's own identifier of the question. */
  readonly id: string
  /** Equal for questions about the same picture, also across sets that share an images folder. */
  readonly imageKey: string
  readonly image: ImageSource
  /** The question's words alone. */
  readonly question: string
  /** What the model is asked: with context, choices and the set's suffix. */
  readonly prompt: string
  /** Task, split or category: tables have a row for each. */
  readonly type: string
  /** What the set's rules compare with: accepted answers, ten people's answers, or the right letter. */
  readonly answers: readonly string[]
  /** Questions that count only together: the two of an MME image, the rotations of an MMBench question. */
  readonly group?: string
  /** Texts of the choices A, B, C, ... */
  readonly choices?: readonly string[]
  /** `question_id` in LLaVA's answer files. */
  readonly llavaId: string | number
  /** The row as lmms-eval writes it into samples, without the picture. */
  readonly doc: Readonly<Record<string, unknown>>
}

/** LLaVA's and lmms-eval's suffixes, after a newline. */
export const SHORT_ANSWER = '\nAnswer the question using a single word or phrase.'
export const LETTER_ANSWER = "\nAnswer with the option's letter from the given choices directly."
/** VizWiz's own, in front of the short one. */
export const UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."

export const LETTERS = ['A', 'B', 'C', 'D', 'E'] as const

/** `A. first\nB. second`, each on a line. */
export function choiceLines(choices: readonly string[]): string {
  return choices.map((choice, i) => `${LETTERS[i]}. ${choice}`).join('\n')
}
