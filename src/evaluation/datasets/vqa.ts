import { ArgumentError } from '../../errors.js'
import { SHORT_ANSWER, UNANSWERABLE, type Example } from './example.js'
import { jsonEntries, type DataFile, type Row } from './rows.js'

/**
 * VQAv2: the official questions ({questions: [{question_id, image_id, question}]}) and annotations ({annotations:
 * [{question_id, answer_type, answers: ten of {answer}}]}). Pictures are `COCO_<subset>_<12 digits>.jpg`; the subset is the
 * file's `data_subtype`, else val2014.
 */
export function readVqaV2(files: readonly DataFile[]): Example[] {
  const [questions, annotations] = files
  if (!questions || !annotations)
    throw new ArgumentError('vqav2', files.map(({ name }) => name).join(','), 'vqav2=QUESTIONS.json,ANNOTATIONS.json')
  const annotated = new Map(
    jsonEntries(annotations, 'annotations').map(([, row]) => [row.id('question_id'), row] as const),
  )
  const subset = /"data_subtype"\s*:\s*"(\w+)"/.exec(questions.text)?.[1] ?? 'val2014'
  return jsonEntries(questions, 'questions').map(([, row]) => {
    const [id, question] = [row.id('question_id'), row.words('question')]
    const annotation = annotated.get(id) ?? row.refuse('question_id', id, `a question that ${annotations.name} answers`)
    const imageId = row.integer('image_id', 0, 999_999_999_999)
    const path = `COCO_${subset}_${String(imageId).padStart(12, '0')}.jpg`
    const { answers, objects } = peoplesAnswers(annotation)
    return {
      id,
      imageKey: path,
      image: { path },
      question,
      prompt: question + SHORT_ANSWER,
      type: annotation.has('answer_type') ? annotation.words('answer_type') : 'vqav2',
      answers,
      llavaId: Number(id),
      doc: { question_id: Number(id), image_id: imageId, question, answers: objects },
    }
  })
}

/** VizWiz (val): a list of {image, question, answers: ten of {answer}, answer_type}. */
export function readVizWiz(files: readonly DataFile[]): Example[] {
  return files.flatMap((file) =>
    jsonEntries(file).map(([, row]) => {
      const path = row.imagePath('image')
      const question = row.words('question')
      const { answers } = peoplesAnswers(row)
      return {
        id: path,
        imageKey: path,
        image: { path },
        question,
        prompt: question + UNANSWERABLE + SHORT_ANSWER,
        type: row.has('answer_type') ? row.words('answer_type') : 'vizwiz',
        answers,
        llavaId: path,
        doc: { question_id: path.replace(/\.\w+$/, ''), question, answers },
      }
    }),
  )
}

function peoplesAnswers(row: Row): { answers: string[]; objects: { answer: string; answer_id: number }[] } {
  const answers = row.rows('answers').map((answer) => answer.text('answer'))
  return { answers, objects: answers.map((answer, i) => ({ answer, answer_id: i + 1 })) }
}
