//! The node's knowledge of what is no longer valid.
//!
//! # Law
//! Records get numbers in the order in which they are applied here; the number is published only
//! after the record can be found. So whoever sees head `n` (a reader that checks an entry, a
//! computation that notes its stamp) can find every record up to `n`.
//!
//! An entry is checked with three questions: was its key, one of its tags, or a pattern that
//! matches its key invalidated after the number up to which the entry is known to be good? Then
//! the head seen before the check is remembered on the entry, so that the next read costs one
//! comparison. Nothing is done to entries when a record arrives: clearing ten keys costs the same
//! as clearing ten million.
//!
//! Bounded: tags and keys stand in two generations; when the young one is full, the old one is
//! dropped and the *floor* rises to the newest record that was in it. What is not known to be
//! good above the floor cannot be verified any more and counts as hidden. What is read or swept in
//! the meantime is: this node's memory remembers that it was found good, and an entry of Redis is
//! stamped anew when its stamp is one that the next turn of the generations would lose.
//!
//! Every mark holds two numbers: `local` for the entries of this node's memory, `change` (the
//! change log's) for entries that other nodes may have written to Redis.

use crate::pattern::{Glob, Pattern};
use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prefixes and globs kept apart; beyond it all of them become one record that covers everything.
const MAX_PATTERNS: usize = 4096;

/// The newest record of a target, in both countings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) local: u64,
    pub(crate) change: u64,
}

impl Mark {
    fn raise(&mut self, to: Self) {
        self.local = self.local.max(to.local);
        self.change = self.change.max(to.change);
    }

    fn max(mut self, other: Self) -> Self {
        self.raise(other);
        self
    }
}

/// A target with its pattern already read.
#[derive(Debug, Clone)]
pub(crate) enum Cover {
    Key(String),
    Tag(String),
    Pattern(Pattern),
}

/// Where a record's number in the change log comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbering {
    /// There is no change log: the local number is both.
    Own,
    /// The change log gave it.
    Log(u64),
    /// The change log could not be written: nothing is said about what other nodes wrote.
    LocalOnly,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InvalidationIndex {
    head: AtomicU64,
    /// Number of the newest record that can concern an entry without tags.
    untagged_head: AtomicU64,
    hasher: DefaultHashBuilder,
    marks: RwLock<Marks>,
}

#[derive(Debug)]
struct Marks {
    targets: Generations,
    prefixes: HashMap<Box<str>, Mark>,
    /// How many prefixes have this length: the lengths to look up.
    lengths: BTreeMap<usize, usize>,
    globs: HashMap<Glob, Mark>,
    newest_glob: Mark,
    all: Mark,
}

/// Keys and tags by their hash (a collision hides a value too many, never one too few).
#[derive(Debug)]
struct Generations {
    young: HashMap<u64, Mark>,
    old: HashMap<u64, Mark>,
    capacity: usize,
    newest_of_young: Mark,
    newest_of_old: Mark,
    floor: Mark,
    turns: u64,
}

impl Generations {
    fn get(&self, hash: u64) -> Mark {
        match self.young.get(&hash) {
            Some(mark) => *mark,
            None => self.old.get(&hash).copied().unwrap_or_default(),
        }
    }

    fn raise(&mut self, hash: u64, mark: Mark) {
        let mark = self.get(hash).max(mark);
        if self.young.len() >= self.capacity && !self.young.contains_key(&hash) {
            self.old = std::mem::take(&mut self.young);
            self.floor.raise(self.newest_of_old);
            self.newest_of_old = std::mem::take(&mut self.newest_of_young);
            self.turns += 1;
        }
        self.young.insert(hash, mark);
        self.newest_of_young.raise(mark);
    }
}

impl InvalidationIndex {
    /// Remembers at least `capacity` different keys and tags.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            head: AtomicU64::new(0),
            untagged_head: AtomicU64::new(0),
            hasher: DefaultHashBuilder::default(),
            marks: RwLock::new(Marks {
                targets: Generations {
                    young: HashMap::new(),
                    old: HashMap::new(),
                    capacity: capacity.max(1),
                    newest_of_young: Mark::default(),
                    newest_of_old: Mark::default(),
                    floor: Mark::default(),
                    turns: 0,
                },
                prefixes: HashMap::new(),
                lengths: BTreeMap::new(),
                globs: HashMap::new(),
                newest_glob: Mark::default(),
                all: Mark::default(),
            }),
        }
    }

    /// The newest number.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The newest number that can concern an entry with or without tags.
    #[inline]
    pub(crate) fn head_for(&self, tagged: bool) -> u64 {
        if tagged { self.head() } else { self.untagged_head.load(Ordering::Acquire) }
    }

    /// How a tag is known here.
    pub(crate) fn tag_hash(&self, tag: &str) -> u64 {
        self.hasher.hash_one((b't', tag))
    }

    fn key_hash(&self, key: &str) -> u64 {
        self.hasher.hash_one((b'k', key))
    }

    /// Applies one record. Answers with the newest local number.
    pub(crate) fn apply(&self, covers: &[Cover], numbering: Numbering) -> u64 {
        let mut marks = self.marks.write();
        let local = self.head.load(Ordering::Relaxed) + 1;
        let change = match numbering {
            Numbering::Own => local,
            Numbering::Log(seq) => seq,
            Numbering::LocalOnly => 0,
        };
        let mark = Mark { local, change };
        // A target that already carries this change is left alone: repeating a record must not
        // hide what was computed since.
        let known = |m: Mark| matches!(numbering, Numbering::Log(seq) if m.change >= seq);
        let mut untagged = false;
        let mut any = false;
        for cover in covers {
            match cover {
                Cover::Key(key) => {
                    let hash = self.key_hash(key);
                    if !known(marks.targets.get(hash)) {
                        marks.targets.raise(hash, mark);
                        (any, untagged) = (true, true);
                    }
                }
                Cover::Tag(tag) => {
                    let hash = self.tag_hash(tag);
                    if !known(marks.targets.get(hash)) {
                        marks.targets.raise(hash, mark);
                        any = true;
                    }
                }
                Cover::Pattern(pattern) => {
                    if marks.raise_pattern(pattern, mark, known, |key| self.key_hash(key)) {
                        (any, untagged) = (true, true);
                    }
                }
            }
        }
        if any {
            if untagged {
                self.untagged_head.store(local, Ordering::Release);
            }
            // Published last, and inside the lock, so that numbers come out in order.
            self.head.store(local, Ordering::Release);
        }
        self.head.load(Ordering::Relaxed)
    }

    /// Whether a record newer than `since` covers an entry of this node's memory.
    pub(crate) fn covers_local(&self, since: u64, key: &str, tags: &[u64]) -> bool {
        self.newest(key, tags, |glob| glob.local > since).local > since
    }

    /// Whether a record newer than `since` in the change log covers an entry from Redis.
    pub(crate) fn covers_change(&self, since: u64, key: &str, tags: &[u64]) -> bool {
        self.newest(key, tags, |glob| glob.change > since).change > since
    }

    /// Nothing known is good any more up to this change: where the index begins after a start.
    pub(crate) fn raise_floor(&self, change: u64) {
        let mut marks = self.marks.write();
        marks.targets.floor.raise(Mark { local: 0, change });
    }

    /// Whether what is known to be good up to this change, and no further, can no longer be
    /// verified once the generations turn again.
    pub(crate) fn fades(&self, change: u64) -> bool {
        self.marks.read().targets.newest_of_old.change > change
    }

    /// How often the generations have turned.
    pub(crate) fn turns(&self) -> u64 {
        self.marks.read().targets.turns
    }

    fn newest(&self, key: &str, tags: &[u64], relevant: impl Fn(Mark) -> bool) -> Mark {
        let marks = self.marks.read();
        let targets = &marks.targets;
        let mut newest = marks.all.max(targets.floor);
        if !targets.young.is_empty() || !targets.old.is_empty() {
            newest.raise(targets.get(self.key_hash(key)));
            for tag in tags {
                newest.raise(targets.get(*tag));
            }
        }
        for length in marks.lengths.keys() {
            // A prefix that ends inside a character of this key cannot be one of it.
            let Some(prefix) = key.get(..*length) else { continue };
            if let Some(mark) = marks.prefixes.get(prefix) {
                newest.raise(*mark);
            }
        }
        if relevant(marks.newest_glob) {
            for (glob, mark) in &marks.globs {
                if relevant(*mark) && glob.matches(key) {
                    newest.raise(*mark);
                }
            }
        }
        newest
    }
}

impl Marks {
    fn raise_pattern(
        &mut self,
        pattern: &Pattern,
        mark: Mark,
        known: impl Fn(Mark) -> bool,
        key_hash: impl Fn(&str) -> u64,
    ) -> bool {
        if known(self.all) {
            return false;
        }
        if self.prefixes.len() + self.globs.len() >= MAX_PATTERNS {
            self.forget_patterns();
        }
        match pattern {
            Pattern::All => {
                self.all.raise(mark);
                true
            }
            Pattern::Exact(key) => {
                let hash = key_hash(key);
                let new = !known(self.targets.get(hash));
                if new {
                    self.targets.raise(hash, mark);
                }
                new
            }
            Pattern::Prefix(prefix) => {
                if let Some(old) = self.prefixes.get_mut(prefix.as_str()) {
                    let new = !known(*old);
                    if new {
                        old.raise(mark);
                    }
                    return new;
                }
                self.prefixes.insert(prefix.as_str().into(), mark);
                *self.lengths.entry(prefix.len()).or_default() += 1;
                true
            }
            Pattern::Glob(glob) => {
                let old = self.globs.entry(glob.clone()).or_default();
                let new = *old == Mark::default() || !known(*old);
                if new {
                    old.raise(mark);
                    self.newest_glob.raise(mark);
                }
                new
            }
        }
    }

    /// All patterns become one record that covers everything up to the newest of them.
    fn forget_patterns(&mut self) {
        let newest =
            self.prefixes.values().chain(self.globs.values()).fold(self.all, |a, b| a.max(*b));
        self.all = newest;
        self.prefixes.clear();
        self.lengths.clear();
        self.globs.clear();
        self.newest_glob = Mark::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Vec<Cover> {
        vec![Cover::Tag(name.to_owned())]
    }
    fn pattern(text: &str) -> Vec<Cover> {
        vec![Cover::Pattern(Pattern::parse(text).expect("pattern"))]
    }

    #[test]
    fn a_record_covers_what_was_noted_before_it_and_nothing_after() {
        let index = InvalidationIndex::new(100);
        let a = index.tag_hash("a");
        let before = index.head();
        index.apply(&tag("a"), Numbering::Own);
        let after = index.head();
        assert!(index.covers_local(before, "k", &[a]));
        assert!(!index.covers_local(after, "k", &[a]));
        assert!(!index.covers_local(before, "k", &[index.tag_hash("b")]));
        assert!(!index.covers_local(before, "a", &[]), "a tag is not a key");
    }

    #[test]
    fn repeating_a_record_hides_nothing_that_came_between() {
        let index = InvalidationIndex::new(100);
        let a = index.tag_hash("a");
        index.apply(&tag("a"), Numbering::Log(7));
        let noted = index.head();
        index.apply(&tag("a"), Numbering::Log(7));
        index.apply(&tag("a"), Numbering::Log(6));
        assert!(!index.covers_local(noted, "k", &[a]));
        assert!(index.covers_change(6, "k", &[a]) && !index.covers_change(7, "k", &[a]));
        index.apply(&tag("a"), Numbering::LocalOnly);
        index.apply(&tag("a"), Numbering::Log(8));
        assert!(
            index.covers_local(noted + 1, "k", &[a]),
            "a clear by hand stands in for no record"
        );
    }

    #[test]
    fn prefixes_globs_and_everything() {
        let index = InvalidationIndex::new(100);
        index.apply(&pattern("trust:*"), Numbering::Own);
        index.apply(&pattern("*:b"), Numbering::Own);
        assert!(index.covers_local(0, "trust:a", &[]) && !index.covers_local(1, "trust:a", &[]));
        assert!(index.covers_local(1, "x:b", &[]) && !index.covers_local(0, "x:a", &[]));
        assert!(!index.covers_local(0, "tr\u{fc}st", &[]), "a prefix may end inside a character");
        index.apply(&pattern("*"), Numbering::Own);
        assert!(index.covers_local(2, "x:a", &[]) && !index.covers_local(3, "x:a", &[]));
    }

    #[test]
    fn what_was_forgotten_hides_everything_older() {
        let index = InvalidationIndex::new(10);
        index.apply(&tag("first"), Numbering::Own);
        let first = index.tag_hash("first");
        for i in 0..100 {
            index.apply(&tag(&i.to_string()), Numbering::Own);
            assert!(index.covers_local(0, "k", &[first]), "after {i} more records");
        }
        assert!(index.covers_local(50, "k", &[]), "below the floor nothing can be verified");
        assert!(!index.covers_local(index.head(), "k", &[first]));
    }

    #[test]
    fn what_fades_is_what_the_next_turn_hides() {
        let index = InvalidationIndex::new(10);
        for i in 0..1_000 {
            let turns = index.turns();
            let fading: Vec<u64> = (0..=i).filter(|n| index.fades(*n)).collect();
            index.apply(&tag(&i.to_string()), Numbering::Log(i + 1));
            if index.turns() > turns {
                let hidden: Vec<u64> =
                    (0..=i).filter(|n| index.covers_change(*n, "k", &[])).collect();
                assert_eq!(hidden, fading, "at the turn with record {}", i + 1);
            }
        }
        assert!(index.turns() > 90);
    }

    #[test]
    fn too_many_patterns_become_one_record_over_everything() {
        let index = InvalidationIndex::new(10);
        for i in 0..=MAX_PATTERNS {
            index.apply(&pattern(&format!("p{i}:*")), Numbering::Own);
        }
        assert!(index.covers_local(0, "p0:x", &[]));
        assert!(index.covers_local(100, "other", &[]), "a needless miss, never a stale hit");
        assert!(!index.covers_local(index.head(), "p0:x", &[]));
    }
}
