import { SHORT_ANSWER, type Example } from './example.js'
import { jsonLines, type DataFile } from './rows.js'

/**
 * POPE: `coco_pope_{random,popular,adversarial}.json`, one object a line: {question_id, image, text, label}. The split is read
 * from the file's name; ids repeat in each split, so ours count over all files.
 */
export function readPope(files: readonly DataFile[]): Example[] {
  const examples: Example[] = []
  for (const file of files) {
    const category = /random|popular|adversarial/.exec(file.name.split('/').at(-1) ?? '')?.[0] ?? 'pope'
    for (const row of jsonLines(file)) {
      const [id, path] = [row.id('question_id'), row.imagePath('image')]
      const [question, answer] = [row.words('text').trim(), row.oneOf('label', ['yes', 'no'])]
      examples.push({
        id: `${category}/${id}`,
        imageKey: path,
        image: { path },
        question,
        prompt: question + SHORT_ANSWER,
        type: category,
        answers: [answer],
        llavaId: examples.length,
        doc: { question_id: id, question, answer, image_source: path.replace(/\.\w+$/, ''), category },
      })
    }
  }
  return examples
}
