//! The cursor law, for every source: stop after any intake, start again from the last cursor, and
//! everything has been handed over.

use crate::{
    messages::{Journal, LONG, clock, ids_of, options, out_of_order},
    relay::{Connection, Relay},
};
use rhiz_domain::clock::SeededEntropy;
use rhiz_firehose::{FileSource, Intake, Jetstream, Source, digest};
use std::{io::Write, sync::Arc};
use tokio::sync::{mpsc, watch};

/// Runs `source` until `enough`, or to its end.
async fn gather(
    source: Box<dyn Source>,
    from: Option<u64>,
    mut enough: impl FnMut(&[Intake]) -> bool,
) -> Vec<Intake> {
    let (out, mut intakes) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let name = source.name().to_owned();
    let task = tokio::spawn(source.run(from, out, stopped));
    let mut all = Vec::new();
    while let Some(intake) =
        tokio::time::timeout(LONG, intakes.recv()).await.expect("it hands over no more")
    {
        assert!(intake.cursor.iter().all(|c| c.source == name));
        all.push(intake);
        if enough(&all) {
            break;
        }
    }
    stop.send_replace(true);
    drop(intakes);
    task.await.unwrap().unwrap();
    all
}

fn events(intakes: &[Intake]) -> usize {
    intakes.iter().map(|i| i.events.len()).sum()
}

async fn keeps_the_law(source: impl Fn() -> Box<dyn Source>, expected: Vec<String>) {
    let all = gather(source(), None, |had| events(had) >= expected.len()).await;
    assert!(all.len() > 3, "{} intakes leave little to interrupt", all.len());
    for kept in 0..=all.len() {
        let mut journal = Journal::default();
        all.iter().take(kept).cloned().for_each(|intake| journal.append(intake));
        let from = journal.cursor;
        let mut seen = journal.ids();
        let rest = gather(source(), from, |had| {
            seen.extend(had.last().unwrap().events.iter().map(|e| e.event_id.to_string()));
            seen.sort();
            seen.dedup();
            seen.len() >= expected.len()
        })
        .await;
        for mut intake in rest {
            // Rewound duplicates may come without a cursor, never with one that goes back.
            intake.cursor = intake.cursor.filter(|c| Some(c.position) > journal.cursor);
            journal.append(intake);
        }
        assert_eq!(journal.ids(), expected, "after {kept} intakes, from {from:?}");
    }
}

#[tokio::test]
async fn of_a_jetstream() {
    let messages = out_of_order(400);
    let relay = Relay::start(messages.clone()).await.unwrap();
    let source = || -> Box<dyn Source> {
        // Cut often, so that there are many intakes.
        relay.script((1..8).map(|n| Connection::CutAfter(n * 100)));
        let options = options(&relay.url());
        Box::new(Jetstream::new(options, clock(), Arc::new(SeededEntropy::new(3))).unwrap())
    };
    keeps_the_law(source, ids_of(&messages)).await;
}

#[tokio::test]
async fn of_a_file() {
    let lines = out_of_order(5000);
    let text = lines.join("\n");
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.jsonl");
    std::fs::write(&plain, &text).unwrap();
    let packed = dir.path().join("packed.jsonl.zst");
    let mut file = std::fs::File::create(&packed).unwrap();
    for part in text.as_bytes().chunks(300_000) {
        file.write_all(&zstd::encode_all(part, 1).unwrap()).unwrap();
    }
    for path in [plain, packed] {
        let digest = digest(&path, |_, _| {}).unwrap();
        let source = || -> Box<dyn Source> { Box::new(FileSource::new(&path, &digest, clock())) };
        let whole: Vec<Intake> = FileSource::new(&path, &digest, clock())
            .replay(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut expected: Vec<_> =
            whole.iter().flat_map(|i| &i.events).map(|e| e.event_id.to_string()).collect();
        expected.sort();
        assert_eq!(expected.len(), 5000);
        keeps_the_law(source, expected).await;
    }
}
