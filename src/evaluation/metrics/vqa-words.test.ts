import { describe, expect, it } from 'vitest'
import { vqaAccuracy } from './vqa.js'
import { officialAnswer, pythiaAnswer } from './vqa-words.js'

describe('the official rewriting of answers', () => {
  it.each([
    ['The two DOGS', '2 dogs'],
    ['none', '0'],
    ['ten', '10'],
    ['dont', "don't"],
    ["couldntve it's", "couldntve it's"],
    ["couldnt've", "couldn't've"],
    ["couldn'tve", "couldn't've"],
    ['oclock twas', "o'clock 'twas"],
    // One entry of the table takes an apostrophe out.
    ["somebody'd", 'somebodyd'],
    // A mark with a space on either side vanishes, one inside a word becomes a space.
    ['red/blue', 'red blue'],
    ['red / blue', 'red blue'],
    ['yes!', 'yes'],
    ['black-and-white - mostly', 'blackandwhite mostly'],
    // A comma between digits makes every mark vanish.
    ['1,000-2', '10002'],
    // Periods go, unless a digit follows.
    ['u.s.a. 3.5', 'usa 3.5'],
    ['.', ''],
  ])('%s -> %s', (text, expected) => expect(officialAnswer(text)).toBe(expected))

  it('removes 32 periods and no more: the flag stands where the count should', () => {
    expect(officialAnswer('.'.repeat(40))).toBe('.'.repeat(8))
  })
})

it("Pythia's rewriting drops commas and question marks first and sets 's apart", () => {
  expect(pythiaAnswer("The dog's, really?")).toBe("dog 's really")
  expect(pythiaAnswer('1,000')).toBe('1000')
})

it('VQA accuracy leaves out one person at a time', () => {
  // A slow twin by definition.
  const slow = (answers: string[], answer: string) => {
    const sets = answers.map((_, left) => answers.filter((_, i) => i !== left))
    const each = sets.map((others) => Math.min(1, others.filter((other) => other === answer).length / 3))
    return each.reduce((a, b) => a + b, 0) / each.length
  }
  for (let count = 0; count <= 10; count++) {
    const answers = Array.from({ length: 10 }, (_, i) => (i < count ? 'yes' : `other ${i}`))
    expect(vqaAccuracy(answers, 'yes')).toBeCloseTo(slow(answers, 'yes'), 12)
  }
})
