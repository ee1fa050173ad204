//! apalis on SQLite.
//!
//! Its `setup` would switch flushing off (`synchronous = OFF`) on the connection it runs on, so only
//! its migrations are run. It acknowledges in batches of its own, after the effect's commit; there
//! is no way to do both in one transaction.

use crate::{
    feed::{Later, Progress, Queue},
    row::Work,
    sqlite, upsert,
};
use anyhow::Result;
use apalis::prelude::*;
use apalis_sqlite::{Config, SqlitePool, SqliteStorage};
use std::{sync::Arc, time::Duration};

/// Tasks fetched at once.
const FETCH: usize = 500;

pub struct Apalis {
    pool: SqlitePool,
}

pub async fn open(path: &str) -> Result<Apalis> {
    let pool = sqlite::pool(path, 5).await?;
    SqliteStorage::migrations().run(&pool).await?;
    Ok(Apalis { pool })
}

#[derive(Clone)]
struct Effect {
    pool: SqlitePool,
    progress: Arc<Progress>,
}

async fn apply(work: Work, effect: Data<Effect>) -> Result<(), BoxDynError> {
    upsert!(sqlx, work.event).execute(&effect.pool).await?;
    effect.progress.applied(work.i);
    Ok(())
}

impl Apalis {
    fn storage(&self) -> SqliteStorage<Work> {
        let config = Config::default().queue("work").batch_size(FETCH);
        SqliteStorage::new(&self.pool).with_config(config)
    }
}

impl Queue for Apalis {
    fn enqueue(&self, work: Vec<Work>) -> Later<'_> {
        Box::pin(async move {
            self.storage().push_bulk(work).await?;
            Ok(())
        })
    }
    fn start(&self, progress: Arc<Progress>) -> Later<'_> {
        Box::pin(async move {
            let effect = Effect { pool: self.pool.clone(), progress };
            let storage = self.storage();
            let runtime = tokio::runtime::Handle::current();
            // The compiler cannot see that its future may move between threads: it gets one.
            std::thread::spawn(move || {
                let worker = WorkerBuilder::new("worker")
                    .backend(storage.poll_with_interval(Duration::from_millis(10)))
                    .data(effect)
                    .parallelize(tokio::spawn)
                    .build(apply);
                if let Err(error) = runtime.block_on(worker.run()) {
                    eprintln!("apalis: {error}");
                }
            });
            Ok(())
        })
    }
    fn left(&self) -> Later<'_, i64> {
        Box::pin(async {
            let sql = "SELECT count(*) FROM Jobs WHERE status <> 'Done'";
            Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
        })
    }
    fn rows(&self) -> Later<'_, i64> {
        Box::pin(async {
            Ok(sqlx::query_scalar("SELECT count(*) FROM relationship")
                .fetch_one(&self.pool)
                .await?)
        })
    }
}
