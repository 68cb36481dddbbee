import { SHORT_ANSWER, type Example } from './example.js'
import { jsonEntries, type DataFile } from './rows.js'

/**
 * TextVQA: `TextVQA_0.5.1_val.json`, {data: [{question_id, question, image_id, answers: ten texts}]}; pictures are
 * `<image_id>.jpg`. A second file, `TextVQA_Rosetta_OCR_v0.2_val.json` ({data: [{image_id, ocr_tokens}]}), puts what an OCR
 * system read into the prompt, as LLaVA does and lmms-eval by default does not.
 */
export function readTextVqa([questions, ocr]: readonly DataFile[]): Example[] {
  const read = ocr && ocrTokens(ocr)
  return jsonEntries(questions as DataFile, 'data').map(([, row]) => {
    const imageId = row.id('image_id')
    const path = row.imagePath('image_id', '.jpg')
    const [id, question, answers] = [row.id('question_id'), row.words('question'), row.texts('answers')]
    const tokens = read?.get(imageId)
    if (read && !tokens) row.refuse('image_id', imageId, `an image that ${(ocr as DataFile).name} has OCR tokens of`)
    const reference = tokens ? `\nReference OCR token: ${tokens.join(', ')}` : ''
    return {
      id,
      imageKey: path,
      image: { path },
      question,
      prompt: question + reference + SHORT_ANSWER,
      type: 'textvqa',
      answers,
      // LLaVA's scorer looks its questions up by image and words.
      llavaId: imageId,
      doc: { question_id: id, image_id: imageId, question, answers, ...(tokens && { ocr_tokens: tokens }) },
    }
  })
}

function ocrTokens(file: DataFile): Map<string, string[]> {
  return new Map(jsonEntries(file, 'data').map(([, row]) => [row.id('image_id'), row.texts('ocr_tokens', 0)]))
}
