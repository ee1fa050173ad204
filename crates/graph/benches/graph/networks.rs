//! Networks to measure on: two real ones, and power-law ones of any size. Also used by the tests.

use rhiz_domain::fact::{Consent, EntityFact, EntityId, RecordKey, RelationshipFact, Visibility};
use rhiz_domain::{Did, Tid};
use rhiz_graph::Graph;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

pub(crate) const TODAY: i32 = 20_000;
const SECONDS: i64 = 86_400;

/// SplitMix64: the same numbers everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Who states what about whom, how strongly, when (Unix seconds, the newest is today).
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) people: u32,
    pub(crate) statements: Vec<(u32, u32, u8, i64)>,
}

/// The folder with the real networks, if it is there.
fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where test data lies is no configuration")]
    let told = std::env::var("RHIZ_SHARED_DATA").ok().map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    [told, Some(beside)].into_iter().flatten().map(|path| path.join("trust")).find(|p| p.is_dir())
}

/// Bitcoin OTC: strength = (rating + 10) · 5, in the order of the file, which is that of time.
pub(crate) fn otc() -> Option<Network> {
    let text = fs::read_to_string(folder()?.join("soc-sign-bitcoinotc.csv")).ok()?;
    let rows: Vec<Vec<i64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').filter_map(|n| n.parse::<f64>().ok()).map(|n| n as i64))
        .map(Iterator::collect)
        .collect();
    let newest = rows.iter().map(|row| row[3]).max()?;
    let shift = i64::from(TODAY) * SECONDS - newest;
    let mut numbers = HashMap::new();
    let mut number = |id: i64| {
        let next = numbers.len() as u32 + 1;
        *numbers.entry(id).or_insert(next)
    };
    let statements = rows
        .iter()
        .map(|row| (number(row[0]), number(row[1]), ((row[2] + 10) * 5) as u8, row[3] + shift))
        .collect();
    Some(Network { people: numbers.len() as u32, statements })
}

fn hashed_strength(a: u32, b: u32) -> u8 {
    1 + (mix(0x5eed ^ (u64::from(a) << 32 | u64::from(b))) % 100) as u8
}

/// Epinions, with strengths 1–100 by a hash of the pair.
pub(crate) fn epinions() -> Option<Network> {
    let text = fs::read_to_string(folder()?.join("soc-Epinions1.txt")).ok()?;
    let mut people = 0;
    let statements = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (a, b) = line.split_once([' ', '\t'])?;
            let (a, b) = (a.parse::<u32>().ok()? + 1, b.trim().parse::<u32>().ok()? + 1);
            people = people.max(a).max(b);
            Some((a, b, hashed_strength(a, b), i64::from(TODAY) * SECONDS))
        })
        .collect();
    Some(Network { people, statements })
}

/// A power law: Chung–Lu with an exponent of 2.5 and ten edges a person on average.
pub(crate) fn power_law(edges: usize) -> Network {
    let people = edges / 5;
    let mut dice = Dice(edges as u64);
    // Weights (i + i₀)^(−1/(γ−1)), drawn by the inverse of their sum.
    let exponent = 1.0 - 1.0 / 1.5;
    let (start, end) = (10f64.powf(exponent), (people as f64 + 10.0).powf(exponent));
    let mut draw = || {
        let at = (start + dice.fraction() * (end - start)).powf(1.0 / exponent) - 10.0;
        (at as u32).min(people as u32 - 1)
    };
    // Numbers are given at random, so that hubs are not neighbours in memory.
    let number = |i: u32| ((u64::from(i) * 0x9e37_79b1) % people as u64) as u32 + 1;
    let mut seen = hashbrown::HashSet::<u64, Plain>::with_capacity_and_hasher(edges, Plain);
    let mut statements = Vec::with_capacity(edges);
    while statements.len() < edges {
        let (a, b) = (number(draw()), number(draw()));
        if a != b && seen.insert(mix(u64::from(a.min(b)) << 32 | u64::from(a.max(b)))) {
            statements.push((a, b, hashed_strength(a, b), i64::from(TODAY) * SECONDS));
        }
    }
    Network { people: people as u32, statements }
}

/// The keys are hashes already.
#[derive(Default, Clone)]
struct Plain;

impl std::hash::BuildHasher for Plain {
    type Hasher = PlainHasher;
    fn build_hasher(&self) -> PlainHasher {
        PlainHasher(0)
    }
}

struct PlainHasher(u64);

impl std::hash::Hasher for PlainHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// `did:plc:` and 24 characters of base32 from a number.
pub(crate) fn did(id: u32) -> Did {
    let (a, b) = (mix(u64::from(id)), mix(!u64::from(id)));
    let wide = u128::from(a) << 64 | u128::from(b);
    let letters =
        (0..24).map(|i| b"abcdefghijklmnopqrstuvwxyz234567"[(wide >> (5 * i)) as usize & 31]);
    let text: String = "did:plc:".chars().chain(letters.map(char::from)).collect();
    Did::parse(&text).unwrap()
}

pub(crate) fn entity(id: u32) -> EntityFact {
    EntityFact { id: EntityId(id), did: did(id), active: true, stands_alone: false }
}

impl Network {
    pub(crate) fn entities(&self) -> impl Iterator<Item = EntityFact> {
        (1..=self.people).map(entity)
    }

    pub(crate) fn relationship(&self, n: usize) -> RelationshipFact {
        let (owner, subject, strength, time) = self.statements[n];
        RelationshipFact {
            key: RecordKey {
                owner: EntityId(owner),
                // Differs within a repo.
                rkey: Tid::from_u64(1 << 40 | n as u64).unwrap(),
            },
            subject: EntityId(subject),
            kind: KIND.with(std::sync::Arc::clone),
            strength,
            last_interaction: Some(time.div_euclid(SECONDS) as i32),
            created: time * 1_000_000 + n as i64,
            rev: Tid::ZERO,
            signed_by_owner: false,
            signed_by_subject: false,
            visibility: Visibility::Public,
            consent: Consent::Full,
        }
    }

    pub(crate) fn relationships(&self) -> impl DoubleEndedIterator<Item = RelationshipFact> {
        (0..self.statements.len()).map(|n| self.relationship(n))
    }

    pub(crate) fn graph_of(&self, facts: impl Iterator<Item = RelationshipFact>) -> Graph {
        Graph::load(TODAY, 0, self.entities(), facts, std::iter::empty())
    }

    /// Different ends, each of them on some edge.
    pub(crate) fn pairs(&self, count: usize, seed: u64) -> Vec<(EntityId, EntityId)> {
        let mut dice = Dice(seed);
        let mut on_edge = vec![false; self.people as usize + 1];
        for &(a, b, ..) in &self.statements {
            on_edge[a as usize] = true;
            on_edge[b as usize] = true;
        }
        let all: Vec<u32> = (1..=self.people).filter(|&id| on_edge[id as usize]).collect();
        let mut pairs = Vec::with_capacity(count);
        while pairs.len() < count {
            let (a, b) = (all[dice.below(all.len())], all[dice.below(all.len())]);
            if a != b {
                pairs.push((EntityId(a), EntityId(b)));
            }
        }
        pairs
    }
}

thread_local! {
    static KIND: std::sync::Arc<str> = "professional".into();
}
