/** Figures and the report page of the hierarchy study. */
export { standalone } from './chart.js'
export { summaryFigures } from './figures.js'
export { barFigure, tokenMapFigure, type Bar, type TokenPanel } from './maps.js'
export { rankMapFigure, type RankMapInput } from './rank-map.js'
export { reportHtml, type ReportFigure, type ReportInput } from './report.js'
export { keptFigure, paretoFigure, tasksFigure } from './evaluation-figures.js'
