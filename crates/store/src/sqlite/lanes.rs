//! What waits in the journal, mirrored in memory: one lane for each priority.
//!
//! The journal's table is the truth; the lanes say which of its rows nobody has in hand. A crash
//! forgets who had what in hand, and the next start finds all of it waiting: that is why a claim
//! needs no write of its own. One process owns a database (it holds the lock of its directory), so
//! nobody else claims.

use jiff::Timestamp;
use rhiz_domain::{
    Event, Priority,
    store::{Depths, Quota},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// One waiting event.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub seq: i64,
    pub priority: Priority,
    /// Of its payload.
    pub bytes: usize,
    pub accepted_at: Timestamp,
    /// Whether it takes part of the capacity; one that waited for a retry does not, so that the
    /// pipeline cannot block itself.
    pub counted: bool,
    /// Kept while it counts; what else waits is read from the table when its turn comes.
    pub event: Option<Arc<Event>>,
}

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ready: [VecDeque<Entry>; 4],
    scheduled: BTreeMap<(Timestamp, i64), Entry>,
    in_hand: usize,
    bytes: usize,
}

impl Lanes {
    /// Appends what was accepted.
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.counted_bytes();
        self.ready[entry.priority as usize].push_back(entry);
    }

    /// Takes up to `quota` entries, highest priority first.
    pub(super) fn take(&mut self, quota: Quota) -> Vec<Entry> {
        let mut taken = Vec::new();
        for (lane, most) in quota.into_iter().enumerate().rev() {
            let n = most.min(self.ready[lane].len());
            taken.extend(self.ready[lane].drain(..n));
        }
        for entry in &taken {
            self.in_hand += usize::from(entry.counted);
        }
        taken
    }

    /// The part of `quota` that takes only the one event that comes first.
    pub(super) fn first(&self, quota: Quota) -> Quota {
        let lane = (0..quota.len()).rev().find(|l| quota[*l] > 0 && !self.ready[*l].is_empty());
        let mut first = Quota::default();
        if let Some(lane) = lane {
            first[lane] = 1;
        }
        first
    }

    /// Puts back what was taken and not settled.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        for entry in entries.into_iter().rev() {
            self.in_hand -= usize::from(entry.counted);
            self.insert(entry);
        }
    }

    /// A lane is sorted by number, which is the order of accepting: what returns goes before what
    /// came after it, whoever returns first.
    fn insert(&mut self, entry: Entry) {
        let lane = &mut self.ready[entry.priority as usize];
        // Nearly always the front; a few steps behind it when several claims return at once.
        let place = lane.iter().position(|e| e.seq > entry.seq).unwrap_or(lane.len());
        lane.insert(place, entry);
    }

    /// Forgets what was taken and is settled.
    pub(super) fn settled(&mut self, entry: &Entry) {
        self.in_hand -= usize::from(entry.counted);
        self.bytes -= entry.counted_bytes();
    }

    /// Notes what was taken and waits now.
    pub(super) fn schedule(&mut self, entry: Entry, due: Timestamp) {
        self.settled(&entry);
        self.wait(entry, due);
    }

    /// Adds what waits for its time.
    pub(super) fn wait(&mut self, entry: Entry, due: Timestamp) {
        let entry = Entry { counted: false, event: None, ..entry };
        self.scheduled.insert((due, entry.seq), entry);
    }

    /// Makes ready what is due; answers with how many, and the next time something will be.
    pub(super) fn wake(&mut self, now: Timestamp) -> (usize, Option<Timestamp>) {
        let later = self.scheduled.split_off(&(now, i64::MAX));
        let due = std::mem::replace(&mut self.scheduled, later);
        let woken = due.len();
        for entry in due.into_values().rev() {
            self.insert(entry);
        }
        (woken, self.scheduled.keys().next().map(|(due, _)| *due))
    }

    /// When a waiting event is due.
    pub(super) fn due(&self, seq: i64) -> Option<Timestamp> {
        self.scheduled.iter().find(|(_, e)| e.seq == seq).map(|((due, _), _)| *due)
    }

    /// Whether something can be taken.
    pub(super) fn any_ready(&self) -> bool {
        self.ready.iter().any(|lane| !lane.is_empty())
    }

    pub(super) fn depths(&self) -> Depths {
        let claimable = [0, 1, 2, 3].map(|lane| self.ready[lane].len());
        let oldest = self.ready.iter().filter_map(|lane| lane.front()).map(|e| e.accepted_at).min();
        Depths {
            claimable,
            in_hand: self.in_hand,
            bytes: self.bytes,
            scheduled: self.scheduled.len(),
            oldest,
        }
    }
}

impl Entry {
    fn counted_bytes(&self) -> usize {
        if self.counted { self.bytes } else { 0 }
    }
}
