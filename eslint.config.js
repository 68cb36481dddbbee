import tseslint from 'typescript-eslint'

/** Layer -> the layers it may import beside itself. ARCHITECTURE.md draws the same arrows. `index` and `node` are src/index.ts and src/node.ts. */
const layers = {
  numeric: [],
  pruning: ['numeric'],
  onnx: ['pruning'],
  image: ['numeric', 'pruning'],
  models: ['numeric', 'pruning', 'onnx', 'image'],
  generation: ['numeric', 'pruning', 'onnx', 'image', 'models'],
  analysis: ['numeric', 'pruning', 'onnx', 'image', 'models', 'generation'],
  plots: ['pruning', 'image', 'analysis', 'evaluation'],
  evaluation: ['numeric', 'pruning', 'onnx', 'image', 'models', 'generation', 'analysis'],
  // The faces use public entry points only.
  cli: ['index', 'node', 'onnx', 'analysis', 'plots', 'evaluation'],
}

/** The only places that may use Node's own modules; everything else runs in a browser too. */
const nodeFiles = [
  'src/cli/**',
  'src/image/read-image.ts',
  'src/image/read-video.ts',
  'src/image/render-png.ts',
  'src/models/model-files.ts',
  'src/**/*.test.ts',
]
const nodeOnly = { group: ['node:*'], message: `node:* belongs to ${nodeFiles.slice(0, -1).join(', ')}.` }

function importDirection(layer, restrictions) {
  const forbidden = Object.keys(layers).filter((other) => other !== layer && !layers[layer].includes(other))
  const group = forbidden.map((other) => `../${other}/*`)
  for (const entry of ['index', 'node']) if (!layers[layer].includes(entry)) group.push(`../${entry}.js`)
  const direction = { group, message: `src/${layer} may import only: ${['errors', ...layers[layer]].join(', ')}.` }
  return ['error', { patterns: [direction, ...restrictions] }]
}

const directions = Object.keys(layers).flatMap((layer) => [
  { files: [`src/${layer}/**/*.ts`], rules: { 'no-restricted-imports': importDirection(layer, [nodeOnly]) } },
  {
    files: nodeFiles.filter((file) => file.startsWith(`src/${layer}/`)),
    rules: { 'no-restricted-imports': importDirection(layer, []) },
  },
])

export default tseslint.config(
  { ignores: ['dist', 'demo-vlm', 'training', 'test/fixtures', 'coverage'] },
  ...tseslint.configs.strict,
  { rules: { '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true, varsIgnorePattern: '^_' }] } },
  ...directions.filter(({ files }) => files.length > 0),
  {
    files: ['**/*.test.ts', 'test/**'],
    rules: { 'no-restricted-imports': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
  },
)
