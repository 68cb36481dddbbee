// What needs Node: files and pixels. Published as 'hiprune/node'.
export { decodeImage, readImage } from './image/read-image.js'
export { openVideo, readVideo, type VideoFile } from './image/read-video.js'
export { imageDataUri, renderPng } from './image/render-png.js'
