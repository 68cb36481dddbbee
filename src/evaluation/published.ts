/** Numbers of the paper (arXiv 2508.00553 v3), to print beside our own: other models, other data, never the same column. */
export interface PublishedTable {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export const publishedTables: readonly PublishedTable[] = [
  {
    title: 'LLaVA-1.5-7B, 576 tokens: % of the unpruned model, mean over nine sets',
    head: ['method', '192', '128', '64'],
    rows: [
      ['HiPrune', '99.3', '97.5', '92.7'],
      ['HiPrune++', '99.9', '98.8', '96.1'],
      ['VisionZip', '97.7', '96.2', '92.7'],
      ['SparseVLM', '98.6', '97.0', '91.8'],
      ['FastV', '90.4', '85.4', '76.7'],
      ['ToMe', '88.5', '83.0', '73.1'],
    ],
  },
  {
    title: 'LLaVA-NeXT-7B, up to 2880 tokens: % of the unpruned model',
    head: ['method', '640', '320', '160'],
    rows: [
      ['HiPrune', '99.4', '96.4', '89.6'],
      ['HiPrune++', '99.7', '98.4', '94.4'],
    ],
  },
  {
    title: 'Qwen2.5-VL-3B: % of the unpruned model (HiPrune++ equal on average)',
    head: ['method', '33.3 %', '22.2 %', '11.1 %'],
    rows: [['HiPrune', '98.7', '97.1', '93.0']],
  },
  {
    title: 'Ablation, LLaVA-1.5-7B at 192 tokens: relative to HiPrune',
    head: ['variant', '% of HiPrune'],
    rows: [
      ['CLS attention instead of all queries', '99.8'],
      ['no registers', '97.9'],
      ['no buffers', '99.7'],
      ['no anchors and buffers', '99.7'],
      ['buffers: cross, square, diagonal', '100'],
      ['buffers: row', '99.6'],
      ['buffers: column', '99.7'],
    ],
  },
]
