export { overlaySvg, type OverlayPanel, type Region } from './overlay.js'
