//! awa, on PostgreSQL.
//!
//! Its default engine (queue storage), enqueued to as it advises for high volume
//! (`enqueue_params_copy`), and the settings of its own throughput test: 100 workers, 50 ms poll, no
//! deadline for a claim. It acknowledges in batches of its own, after the effect's commit.

use crate::{
    feed::{Later, Progress, Queue},
    row::{TABLE, Work},
    upsert,
};
use anyhow::Result;
use awa::{
    Client, InsertOpts, JobArgs, JobContext, JobError, JobResult, QueueConfig, QueueStorage,
    QueueStorageConfig,
};
use serde::{Deserialize, Serialize};
use sqlx08::{PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};

const QUEUE: &str = "work";

#[derive(Clone, Debug, Deserialize, Serialize, JobArgs)]
struct Apply {
    work: Work,
}

pub struct Awa {
    pool: PgPool,
    storage: QueueStorage,
}

pub async fn open(url: &str) -> Result<Awa> {
    let pool = PgPoolOptions::new().max_connections(40).connect(url).await?;
    sqlx08::query(TABLE).execute(&pool).await?;
    awa::migrations::run(&pool).await?;
    let storage = QueueStorage::new(QueueStorageConfig::default())?;
    storage.install(&pool).await?;
    Ok(Awa { pool, storage })
}

impl Queue for Awa {
    fn enqueue(&self, work: Vec<Work>) -> Later<'_> {
        Box::pin(async move {
            let opts = InsertOpts { queue: QUEUE.into(), ..InsertOpts::default() };
            let jobs = work
                .into_iter()
                .map(|work| awa::model::insert::params_with(&Apply { work }, opts.clone()))
                .collect::<Result<Vec<_>, _>>()?;
            self.storage.enqueue_params_copy(&self.pool, &jobs).await?;
            Ok(())
        })
    }
    fn start(&self, progress: Arc<Progress>) -> Later<'_> {
        Box::pin(async move {
            let config = QueueConfig {
                max_workers: 100,
                poll_interval: Duration::from_millis(50),
                deadline_duration: Duration::ZERO,
                ..QueueConfig::default()
            };
            let pool = self.pool.clone();
            let client = Client::builder(self.pool.clone())
                .queue(QUEUE, config)
                .register::<Apply, _, _>(move |args: Apply, _: &JobContext| {
                    let (pool, progress) = (pool.clone(), Arc::clone(&progress));
                    async move {
                        upsert!(sqlx08, args.work.event)
                            .execute(&pool)
                            .await
                            .map_err(JobError::retryable)?;
                        progress.applied(args.work.i);
                        Ok(JobResult::Completed)
                    }
                })
                .build()?;
            client.start().await?;
            // It lives as long as the process.
            std::mem::forget(client);
            Ok(())
        })
    }
    fn left(&self) -> Later<'_, i64> {
        Box::pin(async {
            let counts = self.storage.queue_counts(&self.pool, QUEUE).await?;
            Ok(counts.available + counts.running)
        })
    }
    fn rows(&self) -> Later<'_, i64> {
        Box::pin(async {
            let sql = "SELECT count(*) FROM relationship";
            Ok(sqlx08::query_scalar(sql).fetch_one(&self.pool).await?)
        })
    }
}
