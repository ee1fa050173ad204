// The feed, and the clock that stands beside it: as in ../rust/src/feed.rs.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const BATCH = 1000; // events in one enqueue
const AHEAD = 10_000; // events that may wait while the feed and the workers run together
const TICK = 10; // ms: the steady feed enqueues this often
const GIVE_UP = 5000; // ms: a queue that is so far behind a steady feed does not keep up

export function events(file, n) {
  const lines = readFileSync(file, "utf8").split("\n", n).filter(Boolean);
  if (lines.length !== n) throw new Error(`${file} has only ${lines.length} events`);
  return lines.map((line) => JSON.parse(line));
}

/**
 * Runs one measurement and prints its line. `queue` has enqueue(works), start(progress), left(),
 * rows(); a work is {i, event}.
 */
export async function measure(name, queue, mode, events) {
  const n = events.length;
  const rate = mode === "together" || mode === "backlog" ? undefined : Number(mode);
  const due = new Float64Array(n);
  const latencies = [];
  const progress = { applied: (i) => latencies.push(performance.now() - due[i]) };
  if (mode !== "backlog") {
    await queue.start(progress);
    await sleep(300);
  }
  const batch = rate ? Math.floor((rate * TICK) / 1000) : BATCH;
  const started = performance.now();
  let fed = 0;
  for (let turn = 0; fed < n; turn++) {
    const works = events.slice(fed, fed + batch).map((event, k) => ({ i: fed + k, event }));
    let at = performance.now();
    if (rate) {
      const wait = started + TICK * turn - at;
      if (wait < -GIVE_UP) break;
      if (wait > 0) await sleep(wait);
      at = started + TICK * turn;
    } else if (mode === "together") {
      while (fed - latencies.length + works.length > AHEAD) await sleep(1);
      at = performance.now();
    }
    for (const work of works) due[work.i] = at;
    fed += works.length;
    await queue.enqueue(works);
  }
  const enqueued = performance.now();
  if (mode === "backlog") await queue.start(progress);
  let keptUp = true;
  while (!(latencies.length >= n && (await queue.left()) === 0)) {
    if (rate && (fed < n || performance.now() > enqueued + GIVE_UP)) {
      keptUp = false;
      break;
    }
    await sleep(5);
  }
  const ended = performance.now();
  if (keptUp) {
    const rows = await queue.rows();
    if (rows !== n) throw new Error(`${name}: ${rows} rows for ${n} events`);
  }
  const done = latencies.length;
  const sorted = Float64Array.from(latencies).sort();
  const at = (q) => sorted[Math.min(Math.max(Math.ceil(q * done), 1), done) - 1];
  console.log(
    JSON.stringify({
      queue: name,
      mode: rate ? "steady" : mode,
      events: n,
      applied: done,
      kept_up: keptUp,
      per_second: done / ((ended - started) / 1000),
      enqueued_per_second: fed / ((enqueued - started) / 1000),
      mean_ms: sorted.reduce((a, b) => a + b, 0) / done,
      p50_ms: at(0.5),
      p99_ms: at(0.99),
    }),
  );
}
