//! Predictions: what somebody would state about somebody, learned from what all have stated. The
//! formula is that of [`crate::learned`].
//!
//! This is the one place where the order of arrival may decide something, between two calls of
//! [`Graph::relearn`], which learns everything in the order of (effective date, URI): the
//! reference.
//!
//! The law of what is told: predictions are made from lessons and nothing else, and a record is a
//! lesson while it counts and its pair is not anonymous. A prediction is about two people by name,
//! and who stated one thing only would be seen through their bias: so what is anonymous is not
//! even learned. What ceases to be a lesson (deleted, refused, hidden, its account gone) cannot be
//! taken out of what was learned after it: [`Graph::outdated`] says so, and learning anew, at once,
//! leaves what there would be had it never been stated.

use crate::facts::{Facts, NONE};
use crate::graph::Graph;
use crate::learned::{Learned, Lesson, Stated};
use crate::state::State;
use rhiz_domain::fact::{Consent, EntityId, RecordKey};
use std::collections::{HashMap, HashSet};

const DAY: f64 = 86_400e6;

/// Lessons whose people are fetched together: they fit in the nearest cache.
const BLOCK: usize = 64;

/// When and from what it was learned.
#[derive(Debug, Default)]
pub(crate) struct Taught {
    /// What was learned since a relearning began.
    pub(crate) since: Option<Vec<Lesson>>,
    /// The graph's version when the last relearning began.
    version: u64,
    /// How many changes the graph had seen then.
    changes: u64,
    /// How often lessons were withdrawn …
    withdrawals: u64,
    /// … and how often before the last relearning began.
    unlearned: u64,
}

impl Taught {
    /// From a graph of a version, just loaded.
    pub(crate) fn at(version: u64) -> Self {
        Self { version, ..Self::default() }
    }
}

fn stated(facts: &Facts, slot: u32) -> Stated {
    Stated { y: f64::from(facts.record(slot).strength) / 100.0, at: day_of(facts.created(slot)) }
}

/// Days since 1970 of an instant.
fn day_of(micros: i64) -> f64 {
    micros as f64 / DAY
}

/// Whether predictions may know of a record.
pub(crate) fn is_lesson(facts: &Facts, slot: u32) -> bool {
    let r = facts.record(slot);
    r.pair != NONE
        && facts.counted(slot)
        && facts.pairs[r.pair as usize].consent != Consent::Anonymous
}

fn lesson(facts: &Facts, slot: u32) -> Option<Lesson> {
    let r = facts.record(slot);
    is_lesson(facts, slot).then(|| Lesson {
        key: r.key(),
        subject: r.subject,
        stated: stated(facts, slot),
    })
}

/// The newest lesson of one about another, in their own repo.
fn newest(facts: &Facts, owner: u32, subject: u32) -> Option<u32> {
    let pair = facts.find_pair(owner, subject)?;
    let all = facts.records_of(pair).filter(|&slot| is_lesson(facts, slot));
    let own = all.filter(|&slot| facts.record(slot).owner == owner);
    own.max_by(|&a, &b| {
        facts.created(a).cmp(&facts.created(b)).then_with(|| facts.compare_uris(a, b))
    })
}

/// The lessons of some pairs before a change of theirs.
#[derive(Debug)]
pub(crate) struct Before(Vec<(u32, RecordKey)>);

impl Before {
    pub(crate) fn of(facts: &Facts, pairs: &[u32]) -> Self {
        let mut all = Vec::new();
        for &pair in pairs {
            let lessons = facts.records_of(pair).filter(|&slot| is_lesson(facts, slot));
            all.extend(lessons.map(|slot| (pair, facts.record(slot).key())));
        }
        all.sort_unstable();
        Self(all)
    }

    /// The lessons of the pairs after it that are new; and whether one is gone.
    pub(crate) fn compare(&self, facts: &Facts, pairs: &[u32]) -> (Vec<u32>, bool) {
        let (mut new, mut still) = (Vec::new(), 0);
        for &pair in pairs {
            for slot in facts.records_of(pair).filter(|&slot| is_lesson(facts, slot)) {
                match self.0.binary_search(&(pair, facts.record(slot).key())) {
                    Ok(_) => still += 1,
                    Err(_) => new.push(slot),
                }
            }
        }
        (new, still < self.0.len())
    }
}

impl State {
    /// Takes note of what a change made of the lessons: those that are new are learned.
    pub(crate) fn reconsider(&mut self, (new, gone): (Vec<u32>, bool)) {
        self.taught.withdrawals += u64::from(gone);
        for slot in new {
            self.learn(slot);
        }
    }

    /// Learns a record that was just written, or that has come to be a lesson.
    pub(crate) fn learn(&mut self, slot: u32) {
        let Some(lesson) = lesson(&self.facts, slot) else { return };
        self.learn_on_top(&lesson);
        if let Some(since) = &mut self.taught.since {
            since.push(lesson);
        }
    }

    fn learn_on_top(&mut self, lesson: &Lesson) {
        let answer = self.answer(lesson.subject, lesson.key.owner.0);
        self.learned.learn(lesson, answer);
    }

    /// What `from` has said of `to`.
    fn answer(&self, from: u32, to: u32) -> Option<Stated> {
        newest(&self.facts, from, to).map(|slot| stated(&self.facts, slot))
    }
}

/// All that is to be learned from what is there, in the order of (effective date, URI).
pub(crate) fn learned_from(facts: &Facts) -> Learned {
    let mut slots: Vec<u32> = facts
        .records(0..facts.record_slots())
        .map(|(slot, _)| slot)
        .filter(|&slot| is_lesson(facts, slot))
        .collect();
    slots.sort_unstable_by(|&a, &b| {
        let at = |slot| day_of(facts.created(slot));
        at(a).total_cmp(&at(b)).then_with(|| facts.compare_uris(a, b))
    });
    let mut learned = Learned::about(facts);
    let lessons = slots.iter().filter_map(|&s| Some((lesson(facts, s)?, spoken(facts, s))));
    learn_all(&mut learned, lessons);
    learned
}

/// Learns what is in order, with the answers that come before.
fn learn_all(learned: &mut Learned, mut lessons: impl Iterator<Item = (Lesson, Spoken)>) {
    let mut said: HashMap<(u32, u32), Stated> = HashMap::new();
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        block.extend(lessons.by_ref().take(BLOCK));
        if block.is_empty() {
            return;
        }
        learned.fetch(block.iter().map(|(lesson, _)| lesson));
        for (lesson, spoken) in &block {
            let (from, to) = (lesson.key.owner.0, lesson.subject);
            let answer = match spoken {
                Spoken::Both => said.get(&(to, from)).copied(),
                Spoken::One => None,
            };
            learned.learn(lesson, answer);
            if let Spoken::Both = spoken {
                said.insert((from, to), lesson.stated);
            }
        }
    }
}

/// What somebody would state about somebody. All in strength, 0.0–1.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// mean + rater + ratee + reciprocity, brought within 0–1.
    pub estimate: f64,
    /// Four of five statements lie between this …
    pub low: f64,
    /// … and this.
    pub high: f64,
    /// What all state.
    pub mean: f64,
    /// How much more than that this rater states.
    pub rater: f64,
    /// How much more than that is stated about this ratee.
    pub ratee: f64,
    /// What follows from what the ratee has stated about the rater.
    pub reciprocity: f64,
    /// What the rater does state, if anything (an anonymous statement is not told).
    pub stated: Option<f64>,
}

impl Graph {
    /// What `from` would state about `to` today. `None` when one of them does not exist for the
    /// public.
    #[must_use]
    pub fn predict(&self, from: EntityId, to: EntityId) -> Option<Prediction> {
        let day = {
            let state = self.state.read();
            let exist = state.facts.exists(from.0) && state.facts.exists(to.0);
            exist.then_some(state.derived.day)?
        };
        Some(self.predict_at(from, to, i64::from(day) * DAY as i64))
    }

    /// What `from` would state about `to` at an instant (microseconds since 1970); it may be one
    /// before what was learned last. Of people nobody knows, what everybody states of everybody.
    #[must_use]
    pub fn predict_at(&self, from: EntityId, to: EntityId, micros: i64) -> Prediction {
        let state = self.state.read();
        let (facts, learned) = (&state.facts, &state.learned);
        let answer = state.answer(to.0, from.0);
        let addends = learned.addends(from.0, to.0, micros as f64 / DAY, answer);
        let (estimate, reach) = (addends.estimate(), learned.reach());
        let stated = newest(facts, from.0, to.0).map(|slot| facts.record(slot));
        Prediction {
            estimate,
            low: (estimate - reach).max(0.0),
            high: (estimate + reach).min(1.0),
            mean: addends.mean,
            rater: addends.rater,
            ratee: addends.ratee,
            reciprocity: addends.reciprocity,
            stated: stated.map(|r| f64::from(r.strength) / 100.0),
        }
    }

    /// The version of the graph that was learned from last. Predictions of one version and day are
    /// the same as long as this is: the one thing beside facts and day that they depend on.
    #[must_use]
    pub fn taught(&self) -> u64 {
        self.state.read().taught.version
    }

    /// Something that was learned is withdrawn: [`Graph::relearn`] has to be called within a
    /// second.
    #[must_use]
    pub fn outdated(&self) -> bool {
        let taught = &self.state.read().taught;
        taught.withdrawals != taught.unlearned
    }

    /// Learns everything anew, in the order of (effective date, URI). To be called once a day, and
    /// when the graph is [outdated](Graph::outdated); off the path of requests. Changes go on
    /// meanwhile, and are learned on top. Where nothing has changed since, what is known is what
    /// would be learned.
    pub fn relearn(&self) {
        let _one = self.relearning.lock();
        // Named by the version it began with: of what comes while it learns, the order of arrival
        // decides.
        let begun = {
            let _between_changes = self.writer.lock();
            let version = self.version();
            let mut state = self.state.write();
            if state.changes == state.taught.changes {
                return;
            }
            state.taught.since = Some(Vec::new());
            let withdrawals = state.taught.withdrawals;
            let (changes, unlearned) = (state.changes, withdrawals);
            Taught { since: None, version, changes, withdrawals, unlearned }
        };
        let mut lessons = self.lessons();
        let order = |(a, _): &(Lesson, Spoken), (b, _): &(Lesson, Spoken)| {
            a.stated.at.total_cmp(&b.stated.at).then_with(|| {
                let (x, y) = (a.key, b.key);
                let facts = &self.state.read().facts;
                facts.compare_authorities(x.owner.0, y.owner.0).then(x.rkey.cmp(&y.rkey))
            })
        };
        // Two halves on two threads; then the sort finds two runs, and only merges them.
        let middle = lessons.len() / 2;
        let (former, latter) = lessons.split_at_mut(middle);
        std::thread::scope(|scope| {
            scope.spawn(|| former.sort_unstable_by(order));
            latter.sort_unstable_by(order);
        });
        lessons.sort_by(order);
        let mut learned = Learned::about(&self.state.read().facts);
        learn_all(&mut learned, lessons.into_iter());
        loop {
            let mut state = self.state.write();
            let since = state.taught.since.take().unwrap_or_default();
            if since.len() > BLOCK {
                // Too many to keep others waiting.
                state.taught.since = Some(Vec::new());
                drop(state);
                for lessons in since.chunks(BLOCK) {
                    let state = self.state.read();
                    for lesson in lessons {
                        learned.learn(lesson, state.answer(lesson.subject, lesson.key.owner.0));
                    }
                }
                continue;
            }
            state.taught = Taught { withdrawals: state.taught.withdrawals, ..begun };
            let old = std::mem::replace(&mut state.learned, learned);
            for lesson in since {
                state.learn_on_top(&lesson);
            }
            drop(state);
            drop(old);
            return;
        }
    }

    /// Every lesson, once.
    pub(crate) fn lessons(&self) -> Vec<(Lesson, Spoken)> {
        let mut all = self.read_long(
            |_| Vec::new(),
            |state, all: &mut Vec<(Lesson, Spoken)>, n| {
                let facts = &state.facts;
                let from = n * 1024;
                let to = (from + 1024).min(facts.record_slots());
                (from < to).then(|| {
                    let slots = (from..to).map(|slot| slot as u32);
                    all.extend(slots.filter_map(|s| Some((lesson(facts, s)?, spoken(facts, s)))));
                    to - from
                })
            },
        );
        // What was written meanwhile may be among them or not, as it is or as it was.
        let mut state = self.state.write();
        let since = state.taught.since.replace(Vec::new()).unwrap_or_default();
        if !since.is_empty() {
            let written: HashSet<RecordKey> = since.iter().map(|lesson| lesson.key).collect();
            all.retain(|(lesson, _)| !written.contains(&lesson.key));
            let now = written.into_iter().filter_map(|key| state.facts.find_record(key));
            all.extend(
                now.filter_map(|s| Some((lesson(&state.facts, s)?, spoken(&state.facts, s)))),
            );
        }
        all
    }
}

/// Whether a pair has records of one side only: most have, and nothing has to be remembered of
/// them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spoken {
    One,
    Both,
}

fn spoken(facts: &Facts, slot: u32) -> Spoken {
    let r = facts.record(slot);
    let both = facts.records_of(r.pair).any(|other| facts.record(other).owner != r.owner);
    if both { Spoken::Both } else { Spoken::One }
}
