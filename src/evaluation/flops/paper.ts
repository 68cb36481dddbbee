/**
 * The paper's own clock, LLaVA-1.5-7B on one A100, language model only (arXiv 2508.00553, efficiency table): milliseconds of
 * the prefill and of one decoded token by visual tokens kept.
 */
export const paperClock = {
  model: 'llava-1.5-7b',
  textTokens: 49,
  prefillMs: { 576: 54.3, 192: 28.6, 128: 25.6, 64: 22.0 },
  decodeMsPerToken: { 576: 21.9, 192: 21.7, 128: 21.5, 64: 21.3 },
} as const
