//! Other queues doing the work of Rhiz's pipeline: `queue-peers QUEUE DATABASE EVENTS N MODE`
//!
//! DATABASE is a file for SQLite and a URL for PostgreSQL; both have to be new. MODE is `together`,
//! `backlog` or a number of events a second. Prints one line of JSON.

mod apalis_queue;
mod awa_queue;
mod feed;
mod river;
mod row;
mod sqlite;

use anyhow::{Context, Result, bail};
use feed::{Mode, Queue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, database, file, n, mode] = args.as_slice() else {
        bail!("queue-peers QUEUE DATABASE EVENTS N MODE");
    };
    let mode = match mode.as_str() {
        "together" => Mode::Together,
        "backlog" => Mode::Backlog,
        rate => Mode::Steady(rate.parse().context("MODE: together, backlog, or events a second")?),
    };
    let events = feed::events(file, n.parse().context("N")?)?;
    let queue: Box<dyn Queue> = match name.as_str() {
        "river-sqlite" => Box::new(river::sqlite(database, false).await?),
        "river-sqlite-tx" => Box::new(river::sqlite(database, true).await?),
        "river-postgres" => Box::new(river::postgres(database, false).await?),
        "river-postgres-tx" => Box::new(river::postgres(database, true).await?),
        "apalis-sqlite" => Box::new(apalis_queue::open(database).await?),
        "awa" => Box::new(awa_queue::open(database).await?),
        other => bail!("no queue {other:?} here"),
    };
    feed::measure(name, &*queue, mode, events).await?;
    // The queues' own stops wait for polls and leases; all is committed, and all is measured.
    std::process::exit(0)
}
