// What needs Node: files and pixels. Published as 'hiprune/node'.
export { readImage } from './image/read-image.js'
export { imageDataUri, renderPng } from './image/render-png.js'
