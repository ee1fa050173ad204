//! River, on SQLite and on PostgreSQL.
//!
//! Settings from its own benchmark (`riverqueue bench`): fetch cooldown 2 ms, poll 20 ms, many
//! workers. By default River acknowledges in batches of its own, after the effect's commit; with
//! `in_one` the handler completes its job in the transaction of the effect, as its documentation
//! recommends for work in the same database.

use crate::{
    feed::{Later, Progress, Queue},
    row::{TABLE, Work},
    upsert,
};
use anyhow::Result;
use riverqueue::{
    BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers,
    migrate::{PostgresMigrator, SqliteMigrator},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

const COOLDOWN: Duration = Duration::from_millis(2);
const POLL: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Deserialize, Serialize, JobArgs)]
#[river(kind = "apply")]
struct Apply {
    work: Work,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

pub struct River {
    pool: Pool,
    client: Client,
    progress: Arc<OnceLock<Arc<Progress>>>,
}

pub async fn sqlite(path: &str, in_one: bool) -> Result<River> {
    // As many connections as its documentation shows.
    let pool = crate::sqlite::pool(path, 5).await?;
    SqliteMigrator::new(pool.clone()).migrate_up().await?;
    river(Pool::Sqlite(pool), in_one, 100)
}

pub async fn postgres(url: &str, in_one: bool) -> Result<River> {
    let pool = PgPoolOptions::new().max_connections(40).connect(url).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    PostgresMigrator::new(pool.clone()).migrate_up().await?;
    river(Pool::Postgres(pool), in_one, 2000)
}

fn river(pool: Pool, in_one: bool, max_workers: usize) -> Result<River> {
    let progress: Arc<OnceLock<Arc<Progress>>> = Arc::default();
    let mut workers = Workers::new();
    let (told, database) = (Arc::clone(&progress), pool.clone());
    workers.add_fn(move |context: WorkContext, job: Job<Apply>| {
        let (told, database) = (Arc::clone(&told), database.clone());
        async move {
            let Work { i, event } = job.args.work;
            match (&database, in_one) {
                (Pool::Sqlite(pool), false) => {
                    upsert!(sqlx, event).execute(pool).await?;
                }
                (Pool::Sqlite(pool), true) => {
                    let mut tx = riverqueue::database::begin_sqlite_write(pool).await?;
                    upsert!(sqlx, event).execute(&mut *tx).await?;
                    context.job_complete_tx(&mut tx).await?;
                    tx.commit().await?;
                }
                (Pool::Postgres(pool), false) => {
                    upsert!(sqlx, event).execute(pool).await?;
                }
                (Pool::Postgres(pool), true) => {
                    let mut tx = riverqueue::database::begin_postgres(pool).await?;
                    upsert!(sqlx, event).execute(&mut *tx).await?;
                    context.job_complete_tx(&mut tx).await?;
                    tx.commit().await?;
                }
            }
            if let Some(progress) = told.get() {
                progress.applied(i);
            }
            Ok::<_, BoxError>(WorkOutcome::Complete)
        }
    })?;
    let builder = match &pool {
        Pool::Sqlite(pool) => Client::builder(pool.clone()),
        Pool::Postgres(pool) => Client::builder(pool.clone()),
    };
    let queue = QueueConfig::new(max_workers).with_fetch_poll_interval(POLL);
    let client =
        builder.workers(workers).fetch_cooldown(COOLDOWN).queue("default", queue).build()?;
    Ok(River { pool, client, progress })
}

impl River {
    async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
            Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
        })
    }
}

impl Queue for River {
    fn enqueue(&self, work: Vec<Work>) -> Later<'_> {
        Box::pin(async move {
            let jobs: Vec<Apply> = work.into_iter().map(|work| Apply { work }).collect();
            self.client.insert_many(jobs).await?;
            Ok(())
        })
    }
    fn start(&self, progress: Arc<Progress>) -> Later<'_> {
        Box::pin(async move {
            let _ = self.progress.set(progress);
            self.client.start()?.detach();
            Ok(())
        })
    }
    fn left(&self) -> Later<'_, i64> {
        Box::pin(self.count("SELECT count(*) FROM river_job WHERE state <> 'completed'"))
    }
    fn rows(&self) -> Later<'_, i64> {
        Box::pin(self.count("SELECT count(*) FROM relationship"))
    }
}
