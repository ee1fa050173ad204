// Starts a PLC directory and a PDS (the official ones) on free ports of loopback, and does what
// its standard input says until that ends.
//
//   PACKAGES/node start.mjs PACKAGES DATA      the folder of ./install, and an empty one for data
//
// Its first line of output is {"plc", "pds", "admin_password"}, when both answer. Each line of input
// is {"call", ...} and is answered by one line, {"ok"} or {"error"}.
import fs from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import readline from 'node:readline'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

process.env.LOG_ENABLED ??= 'false'
const [packages, data] = process.argv.slice(2)
const require = createRequire(path.join(packages, 'package.json'))
const load = (name) => import(pathToFileURL(require.resolve(name)).href)
const { PlcServer, Database } = require('@did-plc/server')
const plcLib = require('@did-plc/lib')
const { PDS, envToCfg, envToSecrets } = await load('@atproto/pds')
const { Secp256k1Keypair } = await load('@atproto/crypto')

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const adminPassword = 'admin-pass'
const plcPort = await freePort()
const plc = `http://localhost:${plcPort}`
const directory = PlcServer.create({ db: Database.mock(), port: plcPort })
await directory.start()

const rotation = await Secp256k1Keypair.create({ exportable: true })
const pdsPort = await freePort()
const pds = `http://localhost:${pdsPort}`
await fs.mkdir(path.join(data, 'blobs'), { recursive: true })
const settings = {
  devMode: true,
  port: pdsPort,
  hostname: 'localhost',
  dataDirectory: data,
  blobstoreDiskLocation: path.join(data, 'blobs'),
  didPlcUrl: plc,
  recoveryDidKey: (await Secp256k1Keypair.create()).did(),
  adminPassword,
  jwtSecret: 'jwt-secret',
  serviceHandleDomains: ['.test'],
  plcRotationKeyK256PrivateKeyHex: Buffer.from(await rotation.export()).toString('hex'),
  inviteRequired: false,
  disableSsrfProtection: true,
  bskyAppViewUrl: 'https://appview.invalid',
  bskyAppViewDid: 'did:example:invalid',
  modServiceUrl: 'https://moderator.invalid',
  modServiceDid: 'did:example:invalid',
}
const server = await PDS.create(envToCfg(settings), envToSecrets(settings))
await server.start()

const client = new plcLib.Client(plc)
const calls = {
  // A call of the PDS: {method, nsid, auth?, params?, body?}.
  async xrpc({ method, nsid, auth, params, body }) {
    const url = new URL(`${pds}/xrpc/${nsid}`)
    for (const [name, value] of Object.entries(params ?? {})) url.searchParams.set(name, value)
    const headers = {}
    if (auth) headers.authorization = auth
    if (body) headers['content-type'] = 'application/json'
    const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${nsid}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : {}
  },
  // A DID of no account: {handle, pds}. Both are what its document is to claim.
  async create_did({ handle, pds }) {
    const key = await Secp256k1Keypair.create()
    const rotationKeys = [rotation.did()]
    const signingKey = key.did()
    const did = await client.createDid({ signingKey, handle, pds, rotationKeys, signer: rotation })
    return { did, signing_key: signingKey }
  },
  // What a document claims, changed in the directory alone: {did, handle}.
  async claim_handle({ did, handle }) {
    await client.updateHandle(did, rotation, handle)
  },
  async tombstone({ did }) {
    await client.tombstone(did, rotation)
  },
}

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
say({ plc, pds, admin_password: adminPassword })
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    const { call, ...args } = JSON.parse(line)
    say({ ok: (await calls[call](args)) ?? {} })
  } catch (error) {
    say({ error: String(error?.message ?? error) })
  }
}
await server.destroy()
await directory.destroy()
process.exit(0)
