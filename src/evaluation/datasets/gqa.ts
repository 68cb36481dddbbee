import { SHORT_ANSWER, type Example } from './example.js'
import { jsonEntries, type DataFile } from './rows.js'

/** GQA: `testdev_balanced_questions.json`, an object by question id: {imageId, question, answer, types}. Pictures are `<imageId>.jpg`. */
export function readGqa(files: readonly DataFile[]): Example[] {
  return files.flatMap((file) =>
    jsonEntries(file).map(([id, row]) => {
      const path = row.imagePath('imageId', '.jpg')
      const [question, answer] = [row.words('question'), row.words('answer')]
      const types = row.object('types')
      return {
        id,
        imageKey: path,
        image: { path },
        question,
        prompt: question + SHORT_ANSWER,
        type: types?.has('structural') ? types.words('structural') : 'gqa',
        answers: [answer],
        llavaId: id,
        doc: { id, imageId: row.id('imageId'), question, answer },
      }
    }),
  )
}
