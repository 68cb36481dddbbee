import { ArgumentError } from '../../errors.js'
import { choiceLines, LETTER_ANSWER, LETTERS, type Example } from './example.js'
import { jsonEntries, parsedDocument, type DataFile } from './rows.js'

/**
 * ScienceQA-IMG: `problems.json` (an object by id: {question, choices, answer, hint, image, subject}) and `pid_splits.json`,
 * whose `test` list is asked; problems without a picture are left out. Pictures are `test/<id>/image.png`.
 */
export function readScienceQa(files: readonly DataFile[], split = 'test'): Example[] {
  const [problems, splits] = files
  if (!problems || !splits)
    throw new ArgumentError(
      'scienceqa',
      files.map(({ name }) => name).join(','),
      'scienceqa=problems.json,pid_splits.json',
    )
  const ids = (parsedDocument(splits) as Record<string, unknown> | null)?.[split]
  if (!Array.isArray(ids)) throw new ArgumentError(`${splits.name}, "${split}"`, ids, 'a list of problem ids')
  const rows = new Map(jsonEntries(problems))
  return ids.map(String).flatMap((id) => {
    const row = rows.get(id)
    if (!row) throw new ArgumentError(`${splits.name}, "${split}"`, id, `ids that ${problems.name} has`)
    if (!row.has('image')) return []
    const choices = row.texts('choices', 2)
    if (choices.length > LETTERS.length) row.refuse('choices', choices, `up to ${LETTERS.length} choices`)
    const answer = LETTERS[row.integer('answer', 0, choices.length - 1)] as string
    const question = row.words('question')
    const hint = row.has('hint') ? row.text('hint') : ''
    const path = `${split}/${id}/${row.imagePath('image')}`
    return {
      id,
      imageKey: path,
      image: { path },
      question,
      prompt: `${hint ? `Context: ${hint}\n` : ''}${question}\n${choiceLines(choices)}${LETTER_ANSWER}`,
      type: row.has('subject') ? row.words('subject') : 'scienceqa',
      answers: [answer],
      choices,
      llavaId: id,
      doc: { question, choices, answer: LETTERS.indexOf(answer as 'A'), hint },
    }
  })
}
