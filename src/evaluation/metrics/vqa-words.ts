/**
 * How VQA's official evaluation rewrites answers before it compares them, and how Pythia's processor (used by LLaVA for
 * TextVQA and by lmms-eval) does. Their oddities are kept, because scores are only comparable with them.
 */

const PUNCTUATION = [...';/[]"{}()=+\\_->@`,?!', '<']

const NUMBERS: ReadonlyMap<string, string> = new Map(
  ['none', 'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'].map((word, i) => [
    word,
    String(Math.max(0, i - 1)),
  ]),
)

const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the'])

/** Contractions as they should be; the official table also finds them with one or all apostrophes missing. */
const CONTRACTIONS =
  `ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll
  how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've
  shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're
  there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd
  where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're
  you've`
    .trim()
    .split(/\s+/)

/** Words with two apostrophes: the table knows them with the first or the second missing. */
const DOUBLE = `couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've
  something'd've there'd've they'd've we'd've who'd've wouldn't've you'd've`
  .trim()
  .split(/\s+/)

/** Entries of the official table that follow no rule. */
const ODD: readonly (readonly [string, string])[] = [
  ["ow's'at", "'ow's'at"],
  ["'ows'at", "'ow's'at"],
  ["'ow'sat", "'ow's'at"],
  ["somebody'd", 'somebodyd'],
  ["yall'll", "y'all'll"],
  ["y'allll", "y'all'll"],
  ["yall'd've", "y'all'd've"],
  ["y'alld've", "y'all'd've"],
  ["y'all'dve", "y'all'd've"],
]

const REWRITTEN: ReadonlyMap<string, string> = new Map([
  ...CONTRACTIONS.map((word) => [word.replace("'", ''), word] as const),
  ...DOUBLE.map((word) => [word.replace("'", ''), word] as const),
  ...DOUBLE.map((word) => [word.replace(/'(?=ve$)/, ''), word] as const),
  ...ODD,
])

/** VQA's official rewriting of an answer: punctuation, number words, articles, contractions. */
export function officialAnswer(text: string): string {
  return withWords(withoutPunctuation(text, /\d,\d/))
}

/** Pythia's: as the official one, with commas, question marks and ` 's` treated first. */
export function pythiaAnswer(text: string): string {
  const words = text.toLowerCase().replaceAll(',', '').replaceAll('?', '').replaceAll("'s", " 's").trim()
  return pythiaRewriting(oneLine(words))
}

/** Pythia's rewriting without its first step. */
export function pythiaRewriting(text: string): string {
  return withWords(withoutPunctuation(text, /\d,+\d/))
}

/** Line breaks and tabs as spaces, none around. */
export function oneLine(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('\t', ' ').trim()
}

function withoutPunctuation(text: string, commaInNumber: RegExp): string {
  const hasNumber = commaInNumber.test(text)
  let result = text
  for (const mark of PUNCTUATION) {
    const isApart = hasNumber || text.includes(`${mark} `) || text.includes(` ${mark}`)
    result = result.replaceAll(mark, isApart ? '' : ' ')
  }
  // The original hands the flag re.UNICODE, which is 32, to the place of the count.
  let left = 32
  return result.replace(/\.(?!\p{Nd})/gu, (period) => (left-- > 0 ? '' : period))
}

function withWords(text: string): string {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  return words
    .map((word) => NUMBERS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => REWRITTEN.get(word) ?? word)
    .join(' ')
}
