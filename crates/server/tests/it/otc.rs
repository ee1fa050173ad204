//! The ratings of Bitcoin OTC as relationships, in the shape of Jetstream v1, moved in time so
//! that the newest is of now.

#![expect(clippy::print_stderr, reason = "says what was not checked")]

use crate::statement::relationship;
use jiff::{SignedDuration, Timestamp};
use rhiz_domain::{
    Clock, Collection, Tid,
    clock::SystemClock,
    fact::{Day, day_of},
    syntax::format_datetime,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{fs, path::PathBuf, sync::OnceLock};

/// Ratings in the file.
pub(crate) const RATINGS: usize = 35_592;
/// People who rate or are rated.
pub(crate) const PEOPLE: usize = 5_881;

/// One rating, as a relationship.
#[derive(Debug)]
pub(crate) struct Rating {
    pub(crate) source: String,
    pub(crate) target: String,
    /// 0–100.
    pub(crate) strength: u8,
    pub(crate) uri: String,
    pub(crate) day: Day,
}

/// All of them.
pub(crate) struct Otc {
    pub(crate) ratings: Vec<Rating>,
    /// One event a line.
    pub(crate) lines: Vec<String>,
}

impl Otc {
    /// The first `n` lines as a file, each ended.
    pub(crate) fn text(&self, n: usize) -> String {
        self.lines[..n].iter().flat_map(|l| [l.as_str(), "\n"]).collect()
    }
}

fn shared_data() -> PathBuf {
    std::env::var_os("RHIZ_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

/// The ratings; `None` on a machine without them, and says what is not checked then.
pub(crate) fn otc(not_checked: &str) -> Option<&'static Otc> {
    static READ: OnceLock<Option<Otc>> = OnceLock::new();
    let path = shared_data().join("trust/soc-sign-bitcoinotc.csv");
    let read = READ.get_or_init(|| fs::read_to_string(&path).ok().map(|text| read(&text)));
    if read.is_none() {
        eprintln!(
            "NOT CHECKED: {not_checked}: {} is not here (set RHIZ_SHARED_DATA)",
            path.display()
        );
    }
    read.as_ref()
}

/// A DID for an id of the file.
fn did(id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Sha256::digest(id);
    let name: String =
        hash[..24].iter().map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect();
    format!("did:plc:{name}")
}

fn read(text: &str) -> Otc {
    let rows: Vec<(&str, &str, f64, f64)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let mut parts = line.split(',');
            let mut next = || parts.next().unwrap();
            (next(), next(), next().parse().unwrap(), next().parse().unwrap())
        })
        .collect();
    let newest = rows.iter().map(|r| r.3).fold(0.0, f64::max);
    let now = SystemClock::default().now() - SignedDuration::from_secs(1);
    let mut otc = Otc { ratings: Vec::new(), lines: Vec::new() };
    for (i, (source, target, rating, time)) in rows.into_iter().enumerate() {
        let time = now - SignedDuration::from_secs_f64(newest - time);
        let time = Timestamp::from_microsecond(time.as_microsecond()).unwrap();
        let (source, target) = (did(source), did(target));
        let strength = ((rating + 10.0) * 5.0).round() as u8;
        let tid = Tid::at(time, u16::try_from(i % 1024).unwrap());
        let at = format_datetime(time);
        let line = json!({
            "did": source,
            "time_us": time.as_microsecond(),
            "kind": "commit",
            "commit": {
                "rev": tid.to_string(),
                "operation": "create",
                "collection": Collection::Relationship.nsid(),
                "rkey": tid.to_string(),
                "record": relationship(&source, &target, "professional", strength.into(), &at),
            },
        });
        otc.lines.push(line.to_string());
        otc.ratings.push(Rating {
            uri: Collection::Relationship.uri(&source, tid),
            source,
            target,
            strength,
            day: day_of(time),
        });
    }
    assert_eq!(otc.ratings.len(), RATINGS);
    otc
}
