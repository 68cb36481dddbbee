import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A local HTTP server that plays the hub: `/org/model/resolve/main/{file}` from a folder, with range requests.
 *
 * @param pages Further paths: a text to serve, or for a path that ends in '/' a folder whose files lie below it.
 */
export async function startHub(
  folder: string,
  pages: Readonly<Record<string, string>> = {},
): Promise<{ url: string; requests: string[]; server: Server }> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    requests.push(path)
    const text = pages[path]
    if (text !== undefined) return void response.writeHead(200, { 'content-type': typeOf(path) }).end(text)
    void serve(fileOf(path, { '/org/model/resolve/main/': `${folder}/`, ...pages }), request.headers.range)

    async function serve(file: string | undefined, range: string | undefined) {
      const found = file ? await stat(file).catch(() => undefined) : undefined
      if (!file || !found?.isFile()) return void response.writeHead(404).end()
      if (range) {
        response.writeHead(206, { 'content-range': `bytes 0-0/${found.size}`, 'content-length': 1 })
        return void createReadStream(file, { start: 0, end: 0 }).pipe(response)
      }
      response.writeHead(200, { 'content-length': found.size, 'content-type': typeOf(file) })
      createReadStream(file).pipe(response)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests, server }
}

function fileOf(path: string, folders: Readonly<Record<string, string>>): string | undefined {
  const prefix = Object.keys(folders).find((start) => start !== '/' && start.endsWith('/') && path.startsWith(start))
  if (prefix === undefined || path.includes('..')) return undefined
  return `${folders[prefix]}${path.slice(prefix.length)}`
}

function typeOf(path: string): string {
  if (path === '/') return 'text/html'
  if (/\.m?js$/.test(path)) return 'text/javascript'
  return path.endsWith('.wasm') ? 'application/wasm' : 'application/octet-stream'
}
