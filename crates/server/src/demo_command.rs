//! `rhiz demo`: a made-up network, alive within seconds, without any other.

use crate::{
    cli::DemoArgs,
    config::{Config, DatabaseUrl},
    demo::{self, Network},
    exit::Failure,
    import::bar,
    node::{Node, store_failure},
    serve,
};
use rhiz_domain::store::{Cursor, Intake};
use rhiz_firehose::{Place, decode};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// Events journaled at once.
const BATCH: usize = 1000;

/// How often something happens in the live stream, on average.
const PACE: Duration = Duration::from_millis(1500);

/// A directory that is removed when the demo ends.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo, in a temporary directory unless one was given.
pub async fn run(mut config: Config, args: &DemoArgs, given: bool) -> Result<(), Failure> {
    let _temporary = (!given).then(|| {
        let dir = std::env::temp_dir().join(format!("rhiz-demo-{}", std::process::id()));
        config.database.url = DatabaseUrl::Sqlite(dir.join("rhiz.db"));
        config.data.dir.clone_from(&dir);
        Temporary(dir)
    });
    // Made-up people have made-up handles: the network knows nothing of them.
    config.firehose.verify = false;
    let node = Node::open(config).await?;
    node.start();
    let network = demo::network(args.seed, node.clock.now(), args.people as usize);
    node.while_whole(play(&node, &network, args)).await?;
    if !args.no_stream {
        let mut stream = demo::stream(args.seed, &network);
        let node = node.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(stream.gap(PACE)).await;
                let Some(event) = stream.next(node.clock.now()) else { return };
                let mut intake = Intake::default();
                put(&node, &event, &mut intake);
                if let Err(error) = node.pipeline.take_in(intake).await {
                    tracing::debug!(%error, "the demo's stream ended");
                    return;
                }
            }
        });
    }
    serve::until_stopped(node, None).await
}

/// Plays the network into the pipeline, once for each seed and size.
async fn play(node: &Node, network: &Network, args: &DemoArgs) -> Result<(), Failure> {
    let source = format!("demo:{}:{}", args.seed, args.people);
    let all = network.events.len() as u64;
    let done = node.store.cursor(&source).await.map_err(|e| store_failure(&e))?.unwrap_or(0);
    let bar = bar("making a network");
    bar.set_length(all);
    let rest = network.events.iter().enumerate().skip(usize::try_from(done).unwrap_or(0));
    for batch in rest.collect::<Vec<_>>().chunks(BATCH) {
        let mut intake = Intake::default();
        for (i, event) in batch {
            put(node, event, &mut intake);
            let position = *i as u64 + 1;
            intake.cursor = Some(Cursor { source: source.clone(), position });
            bar.set_position(position);
        }
        node.pipeline.take_in(intake).await.map_err(|e| store_failure(&e))?;
    }
    while node.pipeline.snapshot().events_in_queue > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bar.finish_and_clear();
    Ok(())
}

fn put(node: &Node, event: &Value, intake: &mut Intake) {
    let text = event.to_string();
    decode(text.as_bytes(), Place::Jetstream, node.clock.now()).decoded.put_into(intake);
}
