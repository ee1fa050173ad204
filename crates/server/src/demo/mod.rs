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

mod cid;
mod groups;
mod names;
mod network;
mod people;
mod stream;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use network::{Network, network};
pub use people::{Kind, Person};
pub use stream::{Stream, stream};

const PROFILE: &str = "net.rhiz.entity.profile";
const RELATIONSHIP: &str = "net.rhiz.relationship.record";
const ATTESTATION: &str = "net.rhiz.relationship.attestation";
const CONTEXT: &str = "net.rhiz.relationship.context";
const INTRO: &str = "net.rhiz.intro.request";

/// A TID: 53 bits of microseconds since 1970 and 10 bits of clock id, in 13 sortable characters.
fn tid(micros: i64, clock: u16) -> String {
    const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
    let time = u64::try_from(micros).unwrap_or(0) & ((1 << 53) - 1);
    let bits = (time << 10) | u64::from(clock & 0x3ff);
    (0..13)
        .map(|i| char::from(ALPHABET[(bits >> (60 - 5 * i)) as usize & 31]))
        .collect()
}

/// The clock id that a repo's host uses: any function of the DID will do.
fn clock_of(did: &str) -> u16 {
    did.bytes()
        .fold(7u16, |h, b| h.wrapping_mul(31).wrapping_add(u16::from(b)))
}

/// Milliseconds and `Z`, as AT Protocol software writes a datetime.
fn datetime(micros: i64) -> String {
    // Only a time outside the years -9999 to 9999 fails, and none is made here.
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
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
        commit["cid"] = Value::String(cid::of(&record));
        commit["record"] = record;
    }
    json!({"did": did, "time_us": time_us, "kind": "commit", "commit": commit})
}

/// `{g}`, `{n}` and `{y}` of a sentence filled in.
fn fill(sentence: &str, group: &str, first_name: &str, year: i16) -> String {
    sentence
        .replace("{g}", group)
        .replace("{n}", first_name)
        .replace("{y}", &year.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tids_sort_by_time_and_begin_as_they_must() {
        let early = tid(1_640_995_200_000_000, 0);
        let late = tid(1_795_000_000_000_000, 1023);
        assert_eq!(tid(0, 0), "2222222222222");
        assert!(early < late && early.len() == 13);
        assert!(late.starts_with(|c: char| "234567abcdefghij".contains(c)));
    }

    #[test]
    fn datetimes_have_milliseconds() {
        assert_eq!(datetime(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
        assert_eq!(datetime(1_700_000_000_000_000), "2023-11-14T22:13:20.000Z");
    }
}
