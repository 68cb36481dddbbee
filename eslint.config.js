import boundaries from 'eslint-plugin-boundaries'
import tseslint from 'typescript-eslint'

/** Who may import whom. ARCHITECTURE.md draws the same arrows. */
const layers = {
  errors: [],
  numeric: ['errors'],
  pruning: ['errors', 'numeric'],
  onnx: ['errors'],
  image: ['errors', 'numeric', 'pruning'],
  models: ['errors', 'numeric', 'pruning', 'onnx', 'image'],
  generation: ['errors', 'numeric', 'pruning', 'onnx', 'image', 'models'],
  index: ['errors', 'pruning', 'image', 'models', 'generation'],
  cli: ['errors', 'index', 'onnx-index'],
}

const rules = Object.entries(layers).map(([from, allow]) => ({
  from: { type: from },
  allow: { to: { type: [from, ...allow, ...(allow.includes('onnx') ? ['onnx-index'] : [])] } },
}))
rules.push({ from: { type: 'onnx-index' }, allow: { to: { type: ['onnx'] } } })

const nodeOnly = {
  patterns: [{ group: ['node:*'], message: 'node:* is for src/cli, src/image/read-image.ts and src/models/model-files.ts.' }],
}

export default tseslint.config(
  { ignores: ['dist', 'demo-vlm', 'training', 'test/fixtures'] },
  ...tseslint.configs.strict,
  {
    files: ['src/**/*.ts'],
    plugins: { boundaries },
    settings: {
      'boundaries/elements': [
        { type: 'errors', pattern: 'src/errors.ts', mode: 'file' },
        { type: 'index', pattern: 'src/index.ts', mode: 'file' },
        { type: 'onnx-index', pattern: 'src/onnx/index.ts', mode: 'file' },
        ...['numeric', 'pruning', 'onnx', 'image', 'models', 'generation', 'cli'].map((type) => ({
          type,
          pattern: `src/${type}/**`,
          mode: 'file',
        })),
      ],
    },
    rules: {
      'boundaries/dependencies': ['error', { default: 'disallow', rules }],
      'boundaries/no-unknown': 'error',
      'no-restricted-imports': ['error', nodeOnly],
    },
  },
  {
    files: ['src/cli/**', 'src/image/read-image.ts', 'src/models/model-files.ts', 'src/**/*.test.ts'],
    rules: { 'no-restricted-imports': 'off' },
  },
  {
    files: ['**/*.test.ts', 'test/**'],
    rules: { 'boundaries/dependencies': 'off', 'boundaries/no-unknown': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
  },
)
