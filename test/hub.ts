import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A local HTTP server that plays the hub: `/{model}/resolve/{revision}/{file}` from a folder, with range requests. */
export async function startHub(folder: string): Promise<{ url: string; requests: string[]; server: Server }> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    const match = /^\/org\/model\/resolve\/main\/(.+)$/.exec(decodeURIComponent(request.url ?? ''))
    void serve(match && !match[1]!.includes('..') ? `${folder}/${match[1]}` : '', request.headers.range)
    async function serve(file: string, range?: string) {
      const found = file ? await stat(file).catch(() => undefined) : undefined
      if (!found) return void response.writeHead(404).end()
      if (range) {
        response.writeHead(206, { 'content-range': `bytes 0-0/${found.size}`, 'content-length': 1 })
        return void createReadStream(file, { start: 0, end: 0 }).pipe(response)
      }
      response.writeHead(200, { 'content-length': found.size })
      createReadStream(file).pipe(response)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests, server }
}
