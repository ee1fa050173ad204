//! What Redis still holds although it must not: keys whose newest write or removal has not
//! certainly arrived there.
//!
//! # Law
//! A key in the backlog is not read from Redis. It leaves the backlog only when Redis has
//! confirmed its removal, and after an outage the whole backlog is worked off before the first
//! read. When the backlog overflows, everything in Redis is given up (a new epoch).
//!
//! A write that was given up may still arrive later, out of a buffer on the way. So its number is
//! remembered: an entry of this process with such a number, or an older one, is not believed.

use std::collections::HashMap;

/// See the module.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// By key, a number that changes when the key is put in again.
    keys: HashMap<Box<str>, u64>,
    /// By key, the newest write of this process that may still arrive.
    doubtful: HashMap<Box<str>, u64>,
    capacity: usize,
    overflowed: bool,
    entered: u64,
}

impl Backlog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            keys: HashMap::new(),
            doubtful: HashMap::new(),
            capacity,
            overflowed: false,
            entered: 0,
        }
    }

    /// The key must be removed; `write` is the newest write that may still arrive.
    pub(crate) fn add(&mut self, key: &str, write: Option<u64>) {
        if self.overflowed {
            return;
        }
        if let Some(write) = write {
            let known = self.doubtful.entry(key.into()).or_default();
            *known = (*known).max(write);
        }
        self.entered += 1;
        self.keys.insert(key.into(), self.entered);
        if self.keys.len() > self.capacity || self.doubtful.len() > self.capacity {
            self.keys = HashMap::new();
            self.doubtful = HashMap::new();
            self.overflowed = true;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether what Redis holds under the key must not be read.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.overflowed || (!self.keys.is_empty() && self.keys.contains_key(key))
    }

    /// Whether an entry is one of this process that was given up.
    pub(crate) fn doubts(&self, key: &str, write: u64) -> bool {
        !self.doubtful.is_empty()
            && self.doubtful.get(key).is_some_and(|given_up| write <= *given_up)
    }

    /// Some keys to remove, with what [`Backlog::removed`] needs.
    pub(crate) fn batch(&self, most: usize) -> Vec<(Box<str>, u64)> {
        self.keys.iter().take(most).map(|(key, entered)| (key.clone(), *entered)).collect()
    }

    /// Redis has confirmed the removal; keys put in again since stay.
    pub(crate) fn removed(&mut self, batch: &[(Box<str>, u64)]) {
        for (key, entered) in batch {
            if self.keys.get(key) == Some(entered) {
                self.keys.remove(key);
            }
        }
    }

    /// Everything in Redis has been given up: nothing is left to remove or to doubt.
    pub(crate) fn start_anew(&mut self) {
        self.keys = HashMap::new();
        self.doubtful = HashMap::new();
        self.overflowed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_until_their_removal_is_confirmed() {
        let mut backlog = Backlog::new(10);
        backlog.add("a", Some(3));
        let batch = backlog.batch(10);
        backlog.add("a", Some(5));
        backlog.removed(&batch);
        assert!(backlog.holds("a"), "put in again while it was being removed");
        backlog.removed(&backlog.batch(10));
        assert!(!backlog.holds("a"));
        assert!(backlog.doubts("a", 5) && !backlog.doubts("a", 6), "a late arrival");
    }

    #[test]
    fn an_overflow_gives_up_everything() {
        let mut backlog = Backlog::new(2);
        for key in ["a", "b", "c"] {
            backlog.add(key, None);
        }
        assert!(backlog.overflowed() && backlog.holds("anything") && backlog.len() == 0);
        backlog.start_anew();
        assert!(!backlog.holds("a"));
    }
}
