//! Against what a real Jetstream sent.

use jiff::Timestamp;
use rhiz_domain::EventType;
use rhiz_firehose::{Decoded, Place, decode};
use std::path::PathBuf;

fn shared_data() -> PathBuf {
    std::env::var_os("RHIZ_SHARED_DATA").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "..", "..", "..", "shared", "data"].iter().collect(),
        PathBuf::from,
    )
}

#[test]
#[expect(clippy::print_stderr, reason = "says what was not checked")]
fn a_real_jetstream_is_understood() {
    let path = shared_data().join("frames/expected_v1.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "NOT CHECKED: {} is not here, so no message of a real Jetstream was decoded \
             (set RHIZ_SHARED_DATA)",
            path.display()
        );
        return;
    };
    let now: Timestamp = "2026-07-05T00:00:00Z".parse().unwrap();
    let (mut passed, mut events) = (0, Vec::new());
    for line in text.lines() {
        let seen = decode(line.as_bytes(), Place::Jetstream, now);
        assert!(seen.time_us.is_some(), "{line}");
        match seen.decoded {
            Decoded::Passed => passed += 1,
            Decoded::Event(event) => events.push(event.event_type),
            Decoded::Rejected(rejected) => panic!("{line}: {}", rejected.reason),
        }
    }
    events.sort();
    assert_eq!(events, [EventType::IdentityUpdated, EventType::AccountUpdated]);
    assert_eq!(passed, 150);
}
