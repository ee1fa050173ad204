//! The demo: a seeded, realistic network and an endless stream of further events, in the shape in
//! which Jetstream delivers them.
//!
//! - [`network()`] is a pure function of seed, time and size. Names, ties, words and **record keys
//!   depend on the seed alone**; only times move with `now`. Playing the same seed into a database
//!   that already holds it writes the same records again, with newer revisions, never copies.
//! - [`Stream`] goes on from there, one event at a time.
//!
//! Every event promises: a valid TID as `rev`, growing within its repo; `time_us` growing over the
//! whole sequence; no time after the given `now`; a `cid` that is the hash of the record.
//! Signatures are left out: the people have no keys, and a false one would only be refused.
//!
//! Called by `rhiz demo`.

mod groups;
mod names;
mod network;
mod people;
mod stream;

use jiff::Timestamp;
use rhiz_domain::{Tid, canonical};
use serde_json::{Value, json};

pub use network::{Network, network};
pub use people::{Kind, Person};
pub use stream::{Stream, stream};

const PROFILE: &str = "net.rhiz.entity.profile";
const RELATIONSHIP: &str = "net.rhiz.relationship.record";
const ATTESTATION: &str = "net.rhiz.relationship.attestation";
const CONTEXT: &str = "net.rhiz.relationship.context";
const INTRO: &str = "net.rhiz.intro.request";

/// The TID of a time, in microseconds since 1970.
fn tid(micros: i64, clock: u16) -> String {
    Tid::at(time(micros), clock).to_string()
}

/// Only a time outside the years -9999 to 9999 has none, and no such is made here.
fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The clock id that a repo's host uses: any function of the DID will do.
fn clock_of(did: &str) -> u16 {
    did.bytes().fold(7u16, |h, b| h.wrapping_mul(31).wrapping_add(u16::from(b)))
}

/// Milliseconds and `Z`, as AT Protocol software writes a datetime.
fn datetime(micros: i64) -> String {
    format!("{:.3}", time(micros))
}

/// A commit of one record; `None` deletes it.
fn commit(
    did: &str,
    time_us: i64,
    operation: &str,
    collection: &str,
    rkey: &str,
    record: Option<Value>,
) -> Value {
    let mut commit = json!({
        "rev": tid(time_us, clock_of(did)),
        "operation": operation,
        "collection": collection,
        "rkey": rkey,
    });
    if let Some(record) = record {
        // The records made here hold strings and integers only: all of them have a hash.
        if let Ok(hash) = canonical::hash(&record) {
            commit["cid"] = Value::String(canonical::cid(&hash));
        }
        commit["record"] = record;
    }
    json!({"did": did, "time_us": time_us, "kind": "commit", "commit": commit})
}

/// `{g}`, `{n}` and `{y}` of a sentence filled in.
fn fill(sentence: &str, group: &str, first_name: &str, year: i16) -> String {
    sentence.replace("{g}", group).replace("{n}", first_name).replace("{y}", &year.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_have_milliseconds() {
        assert_eq!(datetime(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
        assert_eq!(datetime(1_700_000_000_000_000), "2023-11-14T22:13:20.000Z");
    }
}
