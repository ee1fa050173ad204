// main.mjs QUEUE URL EVENTS N MODE: as ../rust/src/main.rs.

import { events, measure } from "./feed.mjs";

const [name, url, file, n, mode] = process.argv.slice(2);
if (!mode || !["graphile-worker", "pg-boss"].includes(name)) {
  console.error("main.mjs graphile-worker|pg-boss URL EVENTS N together|backlog|RATE");
  process.exit(2);
}
const { open } = await import(`./${name}.mjs`);
await measure(name, await open(url), mode, events(file, Number(n)));
process.exit(0);
