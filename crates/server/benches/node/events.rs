//! Events to measure with: real ratings, and made-up ones of any number.

use rhiz_domain::Tid;
use std::path::PathBuf;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A did:plc of a number.
pub(crate) fn did(id: u64) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = Random(id);
    let text: String =
        (0..24).map(|_| char::from(ALPHABET[(random.next() & 31) as usize])).collect();
    format!("did:plc:{text}")
}

fn line(from: &str, to: &str, strength: u64, micros: i64, n: usize) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).expect("a time");
    let (rkey, rev) = (Tid::at(time, (n & 1023) as u16), Tid::at(time, 1023));
    let at = format!("{time:.3}");
    format!(
        r#"{{"did":"{from}","time_us":{micros},"kind":"commit","commit":{{"rev":"{rev}","operation":"create","collection":"net.rhiz.relationship.record","rkey":"{rkey}","record":{{"$type":"net.rhiz.relationship.record","participants":["{from}","{to}"],"type":"professional","strength":{strength},"context":"Met at work","privacy":{{"visibility":"public","consent":"full"}},"temporal":{{"start":"{at}","lastInteraction":"{at}"}},"createdAt":"{at}"}}}}}}"#
    )
}

fn ratings() -> Option<Vec<(u64, u64, i64, i64)>> {
    let shared = std::env::var_os("RHIZ_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(shared.join("trust/soc-sign-bitcoinotc.csv")).ok()?;
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut f = line.split(',');
        let mut next = || f.next();
        Some((
            next()?.parse().ok()?,
            next()?.parse().ok()?,
            next()?.parse().ok()?,
            next()?.trim().parse::<f64>().ok()? as i64,
        ))
    });
    Some(rows.collect())
}

/// Microseconds of 2026-11-01, the newest time of made-up events.
const NEWEST: i64 = 1_793_491_200_000_000;

/// Bitcoin OTC as events, its times shifted so that the newest is [`NEWEST`].
pub(crate) fn otc() -> Option<Vec<String>> {
    let rows = ratings()?;
    let newest = rows.iter().map(|r| r.3).max()?;
    let event = |(n, (from, to, rating, time)): (usize, &(u64, u64, i64, i64))| {
        let strength = u64::try_from((rating + 10) * 5).unwrap_or(0);
        let micros = NEWEST - (newest - time) * 1_000_000 + n as i64 % 1_000_000;
        line(&did(*from), &did(*to), strength, micros, n)
    };
    Some(rows.iter().enumerate().map(event).collect())
}

/// Everybody in Bitcoin OTC.
pub(crate) fn otc_people() -> Vec<String> {
    let mut ids: Vec<u64> = ratings().unwrap_or_default().iter().flat_map(|r| [r.0, r.1]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(did).collect()
}

/// Two different people; the first ones are drawn far more often (their degrees follow a power law).
fn pair(random: &mut Random, people: usize) -> (usize, usize) {
    let skewed = |random: &mut Random| {
        let u = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((u * u * people as f64) as usize).min(people - 1)
    };
    let a = skewed(random);
    let b = random.below(people);
    (a, if a == b { (b + 1) % people } else { b })
}

/// Made-up relationships.
pub(crate) fn power_law(n: usize, people: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let dids: Vec<String> = (0..people as u64).map(did).collect();
    (0..n)
        .map(|i| {
            let (a, b) = pair(&mut random, people);
            let micros = NEWEST - (n - i) as i64 * 1_000_000;
            line(&dids[a], &dids[b], random.next() % 101, micros, i)
        })
        .collect()
}

/// Made-up relationships as they are posted.
pub(crate) fn posts(n: usize, people: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let dids: Vec<String> = (0..people as u64).map(did).collect();
    (0..n)
        .map(|i| {
            let (a, b) = pair(&mut random, people);
            let time = jiff::Timestamp::from_microsecond(NEWEST - (n - i) as i64 * 1_000_000);
            let rkey = Tid::at(time.expect("a time"), (i & 1023) as u16);
            let (a, b, strength) = (&dids[a], &dids[b], random.next() % 101);
            format!(
                r#"{{"event_type":"relationship.created","did":"{a}","payload":{{"uri":"at://{a}/net.rhiz.relationship.record/{rkey}","participants":["{a}","{b}"],"type":"professional","strength":{strength},"context":"Met at work","created_at":"2026-11-01T00:00:00Z"}}}}"#
            )
        })
        .collect()
}
