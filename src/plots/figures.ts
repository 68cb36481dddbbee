import type { StudyNumbers } from '../analysis/index.js'
import { dispersionFigure, iouFigure, relativeIouFigure } from './curves.js'
import { layerMapFigure } from './maps.js'
import type { ReportFigure } from './report.js'

/** The figures that all images together make. */
export function summaryFigures(numbers: StudyNumbers): ReportFigure[] {
  const { images, iou, layerMap } = numbers
  const withMasks: ReportFigure[] = iou
    ? [
        {
          id: 'iou',
          title: 'Overlap with objects',
          caption: `IoU of the 10 % most attended tokens with object tokens, mean of ${iou.images} images, band: 95 % bootstrap interval.`,
          svg: iouFigure(numbers),
        },
        {
          id: 'iou-relative',
          title: 'Overlap relative to layer L/2',
          caption: "As in the paper's table: below 1 on both sides means that objects are found in the middle.",
          svg: relativeIouFigure(numbers),
        },
      ]
    : []
  return [
    {
      id: 'dispersion',
      title: 'Dispersion of the most attended tokens',
      caption: `Mean distance among the top tokens of each layer, in the space of the encoder's output, mean of ${images} images, band: 95 % bootstrap interval.`,
      svg: dispersionFigure(numbers),
    },
    ...withMasks,
    {
      id: 'layer-map',
      title: 'Layers by their ranking',
      caption: `t-SNE of the layers' rank vectors over all images (perplexity ${layerMap.perplexity.toFixed(1)}; the paper's 20 needs more than 60 layers). The ring is the object layer.`,
      svg: layerMapFigure(numbers),
    },
  ]
}
