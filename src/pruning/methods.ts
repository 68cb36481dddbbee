import { createPruner, prunerNames, type PrunerName } from './registry.js'
import type { ScoreName } from './types.js'

/** What is worth knowing about a method before it runs. docs/methods.md says more. */
export interface MethodInfo {
  readonly title: string
  /** Address of the paper; absent for controls, which have none. */
  readonly paper?: string
  /** The score inputs that it reads, as its pruner declares them. */
  readonly needs: readonly ScoreName[]
  /** Nothing has to be trained for it. */
  readonly trainingFree: boolean
  /** Makes new rows out of several tokens instead of choosing among them. */
  readonly merges: boolean
  /** Selects differently for different questions about one image. */
  readonly promptAware: boolean
  /** Licence of the authors' code. Ours is written from the formulas. */
  readonly licence: string
}

type Facts = Pick<MethodInfo, 'title' | 'paper' | 'licence'>

const CONTROL = 'none: a control without an original'

const facts: Readonly<Record<PrunerName, Facts>> = {
  hiprune: { title: 'HiPrune', paper: 'https://arxiv.org/abs/2508.00553', licence: 'MIT' },
  'hiprune++': { title: 'HiPrune++', paper: 'https://arxiv.org/abs/2508.00553', licence: 'MIT' },
  'cls-attention': {
    title: 'CLS attention (FasterVLM)',
    paper: 'https://arxiv.org/abs/2412.01818v1',
    licence: 'Apache-2.0',
  },
  visionzip: { title: 'VisionZip', paper: 'https://arxiv.org/abs/2412.04467', licence: 'Apache-2.0' },
  vispruner: { title: 'VisPruner', paper: 'https://arxiv.org/abs/2412.01818', licence: 'Apache-2.0' },
  divprune: { title: 'DivPrune', paper: 'https://arxiv.org/abs/2503.02175', licence: 'non-commercial' },
  scope: { title: 'SCOPE', paper: 'https://arxiv.org/abs/2510.24214', licence: 'no licence given' },
  cdpruner: { title: 'CDPruner', paper: 'https://arxiv.org/abs/2506.10967', licence: 'Apache-2.0' },
  lrcp: {
    title: 'LRCP (reconstruction from its abstract)',
    paper: 'https://arxiv.org/abs/2605.15621',
    licence: 'no code published',
  },
  pool: { title: 'Average pooling on the grid', licence: CONTROL },
  random: { title: 'Random tokens', licence: CONTROL },
  grid: { title: 'Evenly spaced tokens', licence: CONTROL },
  none: { title: 'All tokens', licence: CONTROL },
}

const MERGING: ReadonlySet<PrunerName> = new Set(['visionzip', 'pool'])

/** Facts of every method, in the order of {@link prunerNames}. */
export const methodInfo = Object.fromEntries(
  prunerNames.map((name) => {
    const { needs } = createPruner(name)
    const flags = { trainingFree: true, merges: MERGING.has(name), promptAware: needs.includes('relevance') }
    return [name, { ...facts[name], needs, ...flags }]
  }),
) as unknown as Readonly<Record<PrunerName, MethodInfo>>
