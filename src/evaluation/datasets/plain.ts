import type { Example } from './example.js'
import { jsonLines, type DataFile } from './rows.js'

/**
 * Our own form: one object a line, {image, question, answers: accepted answers, type?}. The question is asked as it stands,
 * without a suffix.
 */
export function readPlain(files: readonly DataFile[]): Example[] {
  const examples: Example[] = []
  for (const file of files) {
    for (const row of jsonLines(file)) {
      const [path, question, answers] = [row.imagePath('image'), row.words('question'), row.texts('answers')]
      const type = row.has('type') ? row.words('type') : 'all'
      const id = String(examples.length)
      examples.push({
        id,
        imageKey: path,
        image: { path },
        question,
        prompt: question,
        type,
        answers,
        llavaId: examples.length,
        doc: { question_id: id, question, answers, type },
      })
    }
  }
  return examples
}
