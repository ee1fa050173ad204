//! `rhiz rebuild`: what is derived from the records, made anew, and the graph over it.
//!
//! It holds the data directory for itself and works below the graph, which damaged rows may keep
//! from being loaded. Each step is a transaction that only brings rows nearer to what follows from
//! the records: killed anywhere and started again, it ends in the same rows.

use crate::{
    config::Config,
    exit::{self, Failure},
    load,
    node::{open_store, store_failure},
    progress,
};
use rhiz_domain::{
    Clock,
    clock::SystemClock,
    fact::day_of,
    store::{Mended, Rebuild, Rebuilt, Store, StoreError},
};
use std::sync::Arc;

/// Fewer rows show no bar: they are over before it can be read.
const WORTH_A_BAR: u64 = 20_000;

/// Runs the command. Fails when a record cannot be read: what follows from it is not known.
pub async fn run(config: Config) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (_lock, store) = open_store(&config, &clock)?;
    let result = mend(&*store, &*clock).await;
    store.close().await;
    let unreadable = result.map_err(|e| store_failure(&e))??;
    if unreadable == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{unreadable} records cannot be read; nothing that follows from them was changed"
    ))
    .hint("restore a backup, or import these records again"))
}

/// Mends the rows, loads the graph from them, and says what was done. Answers with the number of
/// records that cannot be read.
async fn mend(store: &dyn Store, clock: &dyn Clock) -> Result<Result<u64, Failure>, StoreError> {
    let found = with_bar(store, Rebuild::Mend).await?;
    let changed = match found.wrong() {
        0 => "nothing had to be changed".into(),
        _ => in_words(&found, "added, changed, removed"),
    };
    let graph = load::graph(store, day_of(clock.now())).await?;
    let stats = graph.stats();
    let said = exit::print(&format!(
        "{} records read: {changed}\nthe graph has {} people and {} relationships\n",
        found.records, stats.total_entities, stats.total_relationships
    ));
    Ok(said.map(|()| found.unreadable))
}

/// Does it, with a bar on standard error when that is a terminal and there is much to do.
pub async fn with_bar(store: &dyn Store, how: Rebuild) -> Result<Rebuilt, StoreError> {
    let style = "reading the records {bar:30} {human_pos}/{human_len}, {eta} left";
    let (bar, progress) = progress::of_rows(style, WORTH_A_BAR);
    let found = store.rebuild(how, progress).await;
    bar.finish_and_clear();
    found
}

/// What was not as it should be, in a line. `three` says what the three numbers of a table are.
#[must_use]
pub fn in_words(found: &Rebuilt, three: &str) -> String {
    let mut parts: Vec<String> = [
        ("relationships", found.relationships),
        ("attestations", found.attestations),
        ("profiles", found.profiles),
    ]
    .into_iter()
    .filter(|(_, rows)| rows.all() > 0)
    .map(|(name, Mended { added, changed, removed })| {
        format!("{name} {added}/{changed}/{removed} ({three})")
    })
    .collect();
    if found.names > 0 {
        parts.push(format!("the search words of {} names", found.names));
    }
    if found.references > 0 {
        parts.push(format!("what {} records are about", found.references));
    }
    parts.join("; ")
}
