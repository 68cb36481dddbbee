export { framesOf, isVideo, sampleFrames, type Video, type Visual } from './video.js'
export { overlaySvg, type OverlayPanel, type Region } from './overlay.js'
