import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What a download does wrong: the connection ends in the middle, or behind a whole file that was announced as longer; half
 * the file comes under a length that says so; or an HTTP status.
 */
export type Fault = 'cut' | 'announced longer' | 'announced shorter' | number

/**
 * A local HTTP server that plays the hub: `/org/model/resolve/main/{file}` from a folder, with range requests.
 *
 * @param faults By the end of the path; may be changed while the server runs.
 * @param pages Further paths: a text to serve, or for a path that ends in '/' a folder whose files lie below it.
 */
export async function startHub(
  folder: string,
  pages: Readonly<Record<string, string>> = {},
  faults: Record<string, Fault | undefined> = {},
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
      const fault = faults[Object.keys(faults).find((end) => file.endsWith(end)) ?? '']
      if (typeof fault === 'number') return void response.writeHead(fault).end()
      if (range) {
        response.writeHead(206, { 'content-range': `bytes 0-0/${found.size}`, 'content-length': 1 })
        return void createReadStream(file, { start: 0, end: 0 }).pipe(response)
      }
      if (fault) return void (await misbehave(response, file, found.size, fault))
      response.writeHead(200, { 'content-length': found.size, 'content-type': typeOf(file) })
      createReadStream(file).pipe(response)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests, server }
}

async function misbehave(response: ServerResponse, file: string, size: number, fault: Fault): Promise<void> {
  const bytes = await readFile(file)
  const half = Math.floor(size / 2)
  const announced = { cut: size, 'announced longer': size + 1000, 'announced shorter': half }[fault as string]
  response.writeHead(200, { 'content-length': announced })
  const sent = fault === 'announced longer' ? bytes : bytes.subarray(0, half)
  response.write(sent, () => (fault === 'announced shorter' ? response.end() : response.destroy()))
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
