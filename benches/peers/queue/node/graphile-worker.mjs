// graphile-worker: a local queue, acknowledgements in batches, jobs added in bulk, as its page on
// performance recommends. Effect and acknowledgement are two transactions: it has no other way.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { TABLE, UPSERT, columns } from "./row.mjs";

const CONCURRENT = 24;

export async function open(url) {
  const pgPool = new pg.Pool({ connectionString: url, max: CONCURRENT + 4 });
  const tell = (error) => console.error(error);
  pgPool.on("error", tell);
  pgPool.on("connect", (client) => client.on("error", tell));
  await pgPool.query(TABLE);
  const logger = new Logger(() => (level, message) => {
    if (level === "error") console.error(message);
  });
  const utils = await makeWorkerUtils({ pgPool, logger });
  await utils.migrate();
  const count = async (sql) => Number((await pgPool.query(sql)).rows[0].count);
  return {
    enqueue: (works) => utils.addJobs(works.map((payload) => ({ identifier: "apply", payload }))),
    async start(progress) {
      const apply = async ({ i, event }, helpers) => {
        await helpers.withPgClient((client) =>
          client.query({ name: "upsert", text: UPSERT, values: columns(event) }),
        );
        progress.applied(i);
      };
      await run({
        pgPool,
        logger,
        noHandleSignals: true,
        taskList: { apply },
        crontab: "",
        preset: {
          worker: {
            concurrentJobs: CONCURRENT,
            pollInterval: 50,
            localQueue: { size: 500 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      });
    },
    left: () => count("SELECT count(*) FROM graphile_worker._private_jobs"),
    rows: () => count("SELECT count(*) FROM relationship"),
  };
}
