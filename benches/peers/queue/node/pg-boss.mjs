// pg-boss: batches fetched at once and worked in one transaction with their completion
// (`transactional`), so one upsert of the whole batch; woken by NOTIFY.

import pg from "pg";
import { PgBoss } from "pg-boss";
import { TABLE, UPSERT_MANY, columns } from "./row.mjs";

const QUEUE = "work";

export async function open(url) {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  await pool.query(TABLE);
  const boss = new PgBoss({ connectionString: url, max: 12, useListenNotify: true });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE, { notify: true });
  const count = async (sql) => Number((await pool.query(sql)).rows[0].count);
  return {
    enqueue: (works) => boss.insert(QUEUE, works.map((data) => ({ data }))),
    async start(progress) {
      const options = {
        transactional: true,
        batchSize: 500,
        localConcurrency: 2,
        burstWhenBatchFull: true,
        pollingIntervalSeconds: 0.5,
        notifyPollingIntervalSeconds: 0.5,
      };
      await boss.work(QUEUE, options, async (jobs, tx) => {
        const rows = jobs.map((job) => columns(job.data.event));
        const arrays = rows[0].map((_, column) => rows.map((row) => row[column]));
        await tx.executeSql(UPSERT_MANY, arrays);
        // Told a little early: the commit follows.
        for (const job of jobs) progress.applied(job.data.i);
      });
    },
    left: () => count("SELECT count(*) FROM pgboss.job WHERE state < 'completed'"),
    rows: () => count("SELECT count(*) FROM relationship"),
  };
}
