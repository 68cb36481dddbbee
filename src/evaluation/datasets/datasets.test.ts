import { describe, expect, it } from 'vitest'
import { dataSets, readDataSet, type DataSetName } from './index.js'
import type { Example } from './example.js'
import { lineOfEntry, type DataFile } from './rows.js'

const file = (name: string, ...lines: (object | string)[]): DataFile => ({
  name,
  text: lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
})
const read = (set: DataSetName, ...files: DataFile[]) => readDataSet(set, files).examples
/** The scores of answers to one example, by rule. */
const scores = (set: DataSetName, example: Example, ...answers: string[]) =>
  Object.values(dataSets[set].rules).map((rule) => answers.map((answer) => rule.judge(example, answer).score))
const metricsOf = (set: DataSetName, rule: string, examples: readonly Example[], answers: readonly string[]) => {
  const { judge, metrics } = dataSets[set].rules[rule]!
  return metrics(examples.map((example, i) => ({ example, ...judge(example, answers[i]!) })))
}

describe('POPE', () => {
  const row = (question_id: number, label: string) => ({
    question_id,
    image: `COCO_val2014_${question_id}.jpg`,
    text: 'Is there a snowboard in the image?',
    label,
  })
  const random = file('data/coco_pope_random.json', row(1, 'yes'), row(2, 'no'), '', row(3, 'yes'))
  const popular = file('data/coco_pope_popular.json', row(1, 'no'), row(2, 'yes'))

  it('is read split by split, ids counted over all files', () => {
    const examples = read('pope', random, popular)
    expect(examples.map(({ id, type, llavaId }) => [id, type, llavaId])).toEqual([
      ['random/1', 'random', 0],
      ['random/2', 'random', 1],
      ['random/3', 'random', 2],
      ['popular/1', 'popular', 3],
      ['popular/2', 'popular', 4],
    ])
    expect(examples[0]).toMatchObject({
      image: { path: 'COCO_val2014_1.jpg' },
      prompt: 'Is there a snowboard in the image?\nAnswer the question using a single word or phrase.',
      answers: ['yes'],
    })
  })

  it("LLaVA's rule takes no-words of the first sentence and calls all else yes; lmms-eval's wants the word alone", () => {
    const [yes, no] = read('pope', random) as [Example, Example]
    const answers = ['No', 'no, there is not', 'There is not', 'Nothing', 'Yes. No more', 'not.', ' NO ']
    expect(scores('pope', no, ...answers)).toEqual([
      [1, 1, 1, 0, 0, 1, 0],
      [1, 0, 0, 0, 0, 0, 1],
    ])
    expect(scores('pope', yes, 'maybe', 'YES', 'yes')).toEqual([
      [1, 1, 1],
      [0, 1, 1],
    ])
  })

  it("LLaVA's F1 is the mean over splits, lmms-eval's is pooled, and counts no other word as a no", () => {
    const examples = read('pope', random, popular)
    // random: true positive, false positive, false negative: F1 0.5. popular: true negative, true positive: 1.
    const answers = ['yes', 'yes', 'no', 'no', 'yes']
    expect(metricsOf('pope', 'llava', examples, answers)).toMatchObject({ F1: 0.75, precision: 0.75, recall: 0.75 })
    const pooled = metricsOf('pope', 'lmms-eval', examples, answers)
    expect(pooled['F1']).toBeCloseTo(2 / 3)
    expect(pooled['accuracy']).toBeCloseTo(3 / 5)
    expect(metricsOf('pope', 'lmms-eval', examples, ['yes', 'yes', 'hm', 'no', 'yes'])['recall']).toBe(1)
  })

  it('names file, line and field of a bad row', () => {
    const bad = (line: object | string) => () => read('pope', file('f.json', row(1, 'yes'), line))
    expect(bad('{"question_id": 2,')).toThrow(/^f\.json, line 2: got "\{\\"question_id\\": 2,", allowed: a JSON object/)
    expect(bad('[1]')).toThrow(/^f\.json, line 2: got Array of length 1, allowed: a JSON object/)
    expect(bad({ ...row(2, 'yes'), label: 'maybe' })).toThrow(
      /^f\.json, line 2, "label": got "maybe", allowed: yes, no/,
    )
    expect(bad({ ...row(2, 'yes'), image: '../../etc/passwd' })).toThrow(/line 2, "image".*below the images folder/)
    expect(bad({ ...row(2, 'yes'), image: '/etc/passwd' })).toThrow(/below the images folder/)
    expect(bad({ ...row(2, 'yes'), image: 'http://host/a.jpg' })).toThrow(/below the images folder/)
    expect(bad({ ...row(2, 'yes'), text: ' ' })).toThrow(/"text".*not empty/)
    expect(bad({ ...row(2, 'yes'), text: 'a'.repeat(20_001) })).toThrow(/"text".*up to 20000 characters/)
    expect(() => read('pope', file('empty.json', ''))).toThrow(/^empty\.json: got "no rows"/)
  })
})

describe('GQA', () => {
  const entry = { imageId: 'n161313', question: 'Is it overcast?', answer: 'no', types: { structural: 'verify' } }

  it('is an object by question id; pictures get their ending', () => {
    const [example] = read('gqa', file('gqa.json', { '201307251': entry }))
    expect(example).toMatchObject({ id: '201307251', image: { path: 'n161313.jpg' }, type: 'verify', answers: ['no'] })
  })

  it("LLaVA's rule ignores case and final periods, lmms-eval's all punctuation", () => {
    const [example] = read('gqa', file('gqa.json', { 1: { ...entry, answer: 'T-shirt' } })) as [Example]
    expect(scores('gqa', example, 't-shirt.', 'T-SHIRT', 'tshirt', 'a t-shirt')).toEqual([
      [1, 1, 0, 0],
      [1, 1, 1, 0],
    ])
  })

  it('names the line of a bad entry, also where keys are not in order', () => {
    const text = `{\n "20": ${JSON.stringify(entry)},\n "3": ${JSON.stringify({ ...entry, answer: 7 })}\n}`
    expect(() => read('gqa', { name: 'gqa.json', text })).toThrow(/^gqa\.json, line 3, entry 3, "answer": got 7/)
    expect(() => read('gqa', { name: 'gqa.json', text: '{\n"a": {},\n oops' })).toThrow(/^gqa\.json, line 3: got /)
    expect(lineOfEntry('{"a": [9],\n"data": [\n{"x": 1},\n\n{"y": [1, 2]}, 3]}', 'data', 1)).toBe(5)
  })
})

describe('TextVQA', () => {
  const ten = (...answers: string[]) => Array.from({ length: 10 }, (_, i) => answers[i % answers.length])
  const row = {
    question_id: 34602,
    image_id: '003a8ae2ef43b901',
    question: 'what is the brand of this camera?',
    answers: ten('nous les gosses', 'dakota', 'clos culombu', 'dakota digital', 'dakota'),
  }
  const data = (value: object) => file('textvqa.json', { data: [value] })

  it('puts OCR tokens into the prompt only where a file has them', () => {
    const [plain] = read('textvqa', data(row)) as [Example]
    expect(plain.prompt).toBe(`${row.question}\nAnswer the question using a single word or phrase.`)
    expect(plain.llavaId).toBe(row.image_id)
    const ocr = file('ocr.json', { data: [{ image_id: row.image_id, ocr_tokens: ['DAKOTA', 'digital'] }] })
    const [withOcr] = read('textvqa', data(row), ocr) as [Example]
    expect(withOcr.prompt).toContain('\nReference OCR token: DAKOTA, digital\nAnswer')
    expect(() => read('textvqa', data({ ...row, image_id: 'x' }), ocr)).toThrow(/line 1, entry 1, "image_id": got "x"/)
  })

  it('scores by VQA accuracy: all but one person at a time', () => {
    const [example] = read('textvqa', data(row)) as [Example]
    // dakota: 4 of 10; dakota digital: 2 of 10, so 8 x 2/3 + 2 x 1/3 over 10.
    const [llava] = scores('textvqa', example, 'Dakota', 'the dakota digital', 'canon') as [number[]]
    expect(llava[0]).toBe(1)
    expect(llava[1]).toBeCloseTo(0.6)
    expect(llava[2]).toBe(0)
  })
})

describe('VQAv2 and VizWiz', () => {
  const people = (...answers: string[]) => answers.map((answer, i) => ({ answer, answer_id: i + 1 }))
  const questions = file('q.json', {
    data_subtype: 'val2014',
    questions: [{ question_id: 262148000, image_id: 262148, question: 'Where is he looking?' }],
  })
  const annotations = (...answers: string[]) =>
    file('a.json', { annotations: [{ question_id: 262148000, answer_type: 'other', answers: people(...answers) }] })

  it('joins questions with annotations; pictures are named by id', () => {
    const [example] = read('vqav2', questions, annotations('down', 'down'))
    expect(example).toMatchObject({
      image: { path: 'COCO_val2014_000000262148.jpg' },
      type: 'other',
      llavaId: 262148000,
    })
    expect(() => read('vqav2', questions)).toThrow(/allowed: vqav2=QUESTIONS\.json,ANNOTATIONS\.json/)
    const other = file('a.json', { annotations: [{ question_id: 1, answers: people('x') }] })
    expect(() => read('vqav2', questions, other)).toThrow(/^q\.json, line 1, entry 1, "question_id"/)
  })

  it('rewrites answers by the official rule only where people disagree', () => {
    const same = read('vqav2', questions, annotations('two', 'two', 'two', 'two'))[0]!
    expect(scores('vqav2', same, 'two', '2', 'Two')).toEqual([
      [1, 0, 0],
      [0, 0, 0],
    ])
    const mixed = read('vqav2', questions, annotations('two', '2', '2.', 'the two', 'four'))[0]!
    const [official] = scores('vqav2', mixed, 'Two', 'a 2', '2,', 'dont know')
    expect(official).toEqual([1, 1, 1, 0])
  })

  it('VizWiz is a list whose prompt allows for no answer', () => {
    const row = {
      image: 'VizWiz_val_00000000.jpg',
      question: 'What is this?',
      answers: people('can', 'can', 'can', 'soda', 'unanswerable'),
    }
    const [example] = read('vizwiz', file('val.json', [row])) as [Example]
    expect(example.prompt).toContain("respond with 'Unanswerable'.\nAnswer the question")
    const [official, lmms] = scores('vizwiz', example, 'can', 'Can!', 'soda') as [number[], number[]]
    // can: 3 of 5, so 2 x 3/3 + 3 x 2/3 over 5.
    expect(official[0]).toBeCloseTo(0.8)
    expect(official.slice(1)).toEqual([expect.closeTo(0.8), expect.closeTo(4 / 15)])
    expect(lmms[0]).toBeCloseTo(0.8)
    expect(() => read('vizwiz', file('val.json', [row, { ...row, answers: [] }]))).toThrow(/entry 2, "answers"/)
  })
})

describe('ScienceQA', () => {
  const problem = {
    question: 'Which state is farthest north?',
    choices: ['West Virginia', 'Louisiana', 'Oklahoma'],
    answer: 0,
    hint: 'See the map.',
    image: 'image.png',
    subject: 'social science',
  }
  const files = (problems: object, test: string[]) => [
    file('problems.json', problems),
    file('pid_splits.json', { test }),
  ]

  it('asks the test split with pictures, context and choices', () => {
    const examples = read('scienceqa', ...files({ 4: problem, 5: { ...problem, image: null }, 6: problem }, ['5', '4']))
    expect(examples).toHaveLength(1)
    expect(examples[0]).toMatchObject({ id: '4', image: { path: 'test/4/image.png' }, answers: ['A'] })
    expect(examples[0]!.prompt).toBe(
      "Context: See the map.\nWhich state is farthest north?\nA. West Virginia\nB. Louisiana\nC. Oklahoma\nAnswer with the option's letter from the given choices directly.",
    )
  })

  it('reads the letter alone, "X. ..." and "The answer is X."; lmms-eval reads "X." with anything behind it', () => {
    const [example] = read('scienceqa', ...files({ 4: problem }, ['4'])) as [Example]
    const answers = ['A', 'A. West Virginia', 'The answer is A.', 'A.West', 'West Virginia', 'D', 'B', 'a']
    expect(scores('scienceqa', example, ...answers)).toEqual([
      [1, 1, 1, 0, 0, 0, 0, 0],
      [1, 1, 0, 1, 0, 0, 0, 0],
    ])
  })

  it('names what is wrong', () => {
    expect(() => read('scienceqa', ...files({ 4: { ...problem, answer: 3 } }, ['4']))).toThrow(
      /^problems\.json, line 1, entry 4, "answer": got 3, allowed: an integer from 0 to 2/,
    )
    expect(() => read('scienceqa', ...files({ 4: problem }, ['9']))).toThrow(/^pid_splits\.json, "test": got "9"/)
  })
})

describe('MME', () => {
  const texts = (name: string, ...lines: string[]) => file(name, ...lines)
  const yesNo = ['Is there an elephant? Please answer yes or no.\tYes', 'Is there a dog? Please answer yes or no.\tNo']
  const existence = texts('existence/000000006040.txt', ...yesNo)
  const code = texts('code_reasoning/questions_answers_YN/0020.txt', ...yesNo)
  const pictures = ['existence/000000006040.jpg', 'code_reasoning/images/0020.png']
  const readMme = () => readDataSet('mme', [existence, code, texts('readme.txt', 'x')], pictures).examples

  it('finds two questions a picture in both layouts of folders', () => {
    const examples = readMme()
    expect(examples.map(({ type, group }) => [type, group])).toEqual([
      ['existence', 'existence/000000006040.jpg'],
      ['existence', 'existence/000000006040.jpg'],
      ['code_reasoning', 'code_reasoning/0020.png'],
      ['code_reasoning', 'code_reasoning/0020.png'],
    ])
    expect(examples[0]!.prompt).toBe('Is there an elephant?\nAnswer the question using a single word or phrase.')
    expect(examples[2]!.image).toEqual({ path: 'code_reasoning/images/0020.png' })
  })

  it('looks at four characters; lmms-eval drops periods first and takes one letter', () => {
    const [yes] = readMme() as [Example]
    expect(scores('mme', yes, 'Yes, it is', ' yes', 'It yes', 'y', 'Y.', 'eyes')).toEqual([
      [1, 1, 0, 0, 0, 1],
      [1, 1, 0, 1, 1, 1],
    ])
  })

  it('adds accuracy and accuracy+, perception and cognition', () => {
    const examples = readMme()
    expect(metricsOf('mme', 'llava', examples, ['yes', 'no', 'yes', 'yes'])).toEqual({
      score: 250,
      perception: 200,
      cognition: 50,
    })
  })

  it('names what is wrong', () => {
    const one =
      (...lines: string[]) =>
      () =>
        readDataSet('mme', [texts('count/1.txt', ...lines)], ['count/1.jpg'])
    expect(one('Is it?\tYes')).toThrow(/^count\/1\.txt: got "1 lines", allowed: two questions/)
    expect(one('Is it?\tYes', 'Is it Yes')).toThrow(/^count\/1\.txt, line 2: got "Is it Yes"/)
    expect(() => readDataSet('mme', [texts('count/2.txt', ...yesNo)], [])).toThrow(/picture of this name in count/)
    expect(() => readDataSet('mme', [], [])).toThrow(/^mme: got/)
  })
})

describe('MMBench', () => {
  const head = 'index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage'
  const picture = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk'
  const row = (index: number, image: string, answer = 'A') =>
    `${index}\t"Which ""one""\tis it?"\tnan\tred\tblue\t\t\t${answer}\tattribute\t${image}`

  it('takes quoted cells, fewer choices, and pictures of other rows', () => {
    const examples = read(
      'mmbench',
      file('dev.tsv', head, row(241, picture), row(1_000_241, '241', 'B'), row(9, picture)),
    )
    expect(examples.map(({ group }) => group)).toEqual(['241', '241', '9'])
    expect(examples[1]!.image).toEqual({ base64: picture })
    expect(examples[0]!.prompt).toBe(
      'Which "one"\tis it?\nA. red\nB. blue\nAnswer with the option\'s letter from the given choices directly.',
    )
    const right = metricsOf('mmbench', 'letter', examples, ['A', 'B', 'A. red'])
    expect(right).toEqual({ accuracy: 1, circular: 1 })
    expect(metricsOf('mmbench', 'letter', examples, ['A', 'A', 'A'])).toEqual({ accuracy: 2 / 3, circular: 1 / 2 })
  })

  it('names the line of a bad row', () => {
    const bad = (line: string) => () => read('mmbench', file('dev.tsv', head, row(1, picture), line))
    expect(bad(row(2, picture, 'C'))).toThrow(/^dev\.tsv, line 3, "answer": got "C", allowed: A, B/)
    expect(bad(row(2, '77'))).toThrow(/^dev\.tsv, line 3, "image": got "77"/)
    expect(bad('2\tx')).toThrow(/^dev\.tsv, line 3: got "2 columns", allowed: 10/)
    expect(bad('2\t"open')).toThrow(/line 3.*closed/)
    expect(() => read('mmbench', file('dev.tsv', 'index\tA'))).toThrow(/^dev\.tsv, line 1/)
  })
})

describe('our own questions and COCO', () => {
  it('takes any accepted answer, and a type for the tables', () => {
    const row = { image: 'a/b.jpg', question: 'what number is shown ?', answers: ['4 5', '45'], type: 'reading' }
    const [example] = read('jsonl', file('q.jsonl', row)) as [Example]
    expect(example).toMatchObject({ prompt: row.question, type: 'reading', imageKey: 'a/b.jpg' })
    expect(scores('jsonl', example, '45', ' 4  5 .', '54', '')).toEqual([[1, 1, 0, 0]])
    expect(() => read('jsonl', file('q.jsonl', { ...row, answers: 'no' }))).toThrow(/^q\.jsonl, line 1, "answers"/)
    expect(() => read('jsonl', file('q.jsonl', { ...row, answers: [1] }))).toThrow(/^q\.jsonl, line 1, "answers"/)
    expect(() => read('jsonl', file('q.jsonl', '{"__proto__": {"image": "x"}}'))).toThrow(/"image": got undefined/)
  })

  it('COCO counts kept tokens on objects', () => {
    const images = [{ id: 7, file_name: 'x.jpg', width: 4, height: 2 }]
    const annotations = [{ image_id: 7, segmentation: [[0, 0, 2, 0, 2, 2, 0, 2]] }]
    const { examples, maskOf } = readDataSet('coco', [file('i.json', { images, annotations })])
    expect([...maskOf!(examples[0]!).data]).toEqual([1, 1, 0, 0, 1, 1, 0, 0])
    expect(scores('coco', examples[0]!, '2 of 4 kept tokens on 3 object tokens')[0]![0]).toBeCloseTo(2 / 5)
    const bad = file('i.json', { images: [{ ...images[0], width: -1 }], annotations })
    expect(() => readDataSet('coco', [bad])).toThrow(/^i\.json, line 1, entry 1, "width": got -1/)
  })
})
