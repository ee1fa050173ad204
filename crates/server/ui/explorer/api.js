// Asks the server, and remembers whom it has met.

import { label } from "./words.js";

/** What went wrong, as a problem document says it: `code`, `status`, `detail` and its hints. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || "The server could not answer.");
    this.status = status;
    this.code = body.code ?? "";
    this.body = body;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { headers: { accept: "application/json", ...options.headers }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "offline", detail: "The server cannot be reached. Is it running?" });
  }
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (response.ok && body !== null) return body;
  if (response.status === 429) {
    const wait = Number(response.headers.get("retry-after")) || 30;
    throw new Problem(429, { code: "rate_limited", detail: `Too many questions at once. Try again in ${wait} seconds.`, wait });
  }
  throw new Problem(response.status, body && typeof body === "object"
    ? body
    : { detail: `The server answered ${response.status} without saying why.` });
}

const known = new Map();
const around = new Map();

function meet(entity) {
  const met = { ...entity, label: label(entity) };
  known.set(entity.did, met);
  return met;
}

/** Suggestions for what has been typed; without a text, some of all. */
export async function suggest(text, signal, limit = 8) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (text) query.set("q", text);
  const { entities } = await ask(`/api/v1/entities?${query}`, { signal });
  return entities.map(meet);
}

/** One entity; asked once, and again when it failed. */
export async function entity(did) {
  return known.get(did) ?? meet(await ask(`/api/v1/entities/${encodeURIComponent(did)}`));
}

/** The same, and a bare stand-in when the server cannot say more. */
export async function anyone(did) {
  try {
    return await entity(did);
  } catch {
    return { did, type: "person", name: null, handle: null, label: label({ did }) };
  }
}

/** The strongest counterparts of an entity. */
export async function neighbors(did, limit = 6) {
  const key = `${did} ${limit}`;
  if (!around.has(key)) {
    const asked = ask(`/api/v1/graph/neighbors/${encodeURIComponent(did)}?limit=${limit}`).then((body) => body.neighbors);
    asked.catch(() => around.delete(key));
    around.set(key, asked);
    // A live network: what was true a minute ago is asked again.
    setTimeout(() => around.delete(key), 60000);
  }
  return around.get(key);
}

export const findPath = (from, to, limits, signal) => ask("/api/v1/graph/find-path", {
  method: "POST",
  signal,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ from, to, max_hops: limits.hops, min_strength: limits.min, k: 3 }),
});

export const relationship = (uri) => ask(`/api/v1/relationships/${encodeURIComponent(uri)}`);
export const metrics = (did) => ask(`/api/v1/analytics/trust-metrics/${encodeURIComponent(did)}`);
export const stats = () => ask("/api/v1/analytics/network-stats");
