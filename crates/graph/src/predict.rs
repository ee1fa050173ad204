//! Predictions: what somebody would state about somebody, learned from what all have stated. The
//! formula is that of [`crate::learned`].
//!
//! This is the one place where the order of arrival may decide something, between two calls of
//! [`Graph::relearn`], which learns everything in the order of (effective date, URI): the
//! reference. What is deleted, refused or hidden stays learned until then.

use crate::facts::{Facts, NONE};
use crate::graph::Graph;
use crate::learned::{Learned, Lesson, Stated};
use crate::state::State;
use rhiz_domain::fact::{EntityId, Visibility};
use std::collections::HashMap;

const DAY: f64 = 86_400e6;

/// Lessons whose people are fetched together: they fit in the nearest cache.
const BLOCK: usize = 64;

/// When and from what it was learned.
#[derive(Debug, Default)]
pub(crate) struct Taught {
    /// What was learned since a relearning began.
    since: Option<Vec<Lesson>>,
    /// The graph's version when the last relearning began.
    version: u64,
    /// How many changes the graph had seen then.
    changes: u64,
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

fn lesson(facts: &Facts, slot: u32) -> Option<Lesson> {
    let r = facts.record(slot);
    (facts.counted(slot) && r.visibility != Visibility::Private).then(|| Lesson {
        key: r.key(),
        subject: r.subject,
        stated: stated(facts, slot),
    })
}

/// The newest counted record of one about another, in their own repo.
fn newest(facts: &Facts, owner: u32, subject: u32) -> Option<u32> {
    let pair = facts.find_pair(owner, subject)?;
    let own = facts.counted_of(pair).filter(|&slot| facts.record(slot).owner == owner);
    own.max_by(|&a, &b| {
        facts.created(a).cmp(&facts.created(b)).then_with(|| facts.compare_uris(a, b))
    })
}

impl State {
    /// Learns a record that was just written.
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
        .filter(|(slot, r)| r.pair != NONE && facts.counted(*slot))
        .map(|(slot, _)| slot)
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
        let stated = newest(facts, from.0, to.0).map(|slot| facts.record(slot)).filter(|r| {
            facts.pairs[r.pair as usize].consent != rhiz_domain::fact::Consent::Anonymous
        });
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

    /// Learns everything anew, in the order of (effective date, URI). To be called
    /// once a day, off the path of requests; changes go on meanwhile, and are learned on top.
    /// Where nothing has changed since, what is known is what would be learned.
    pub fn relearn(&self) {
        // Of what comes while it learns, some is learned twice: so it is named by the version it
        // began with.
        let taught = self.version();
        let changes = {
            let mut state = self.state.write();
            if state.changes == state.taught.changes {
                return;
            }
            state.taught.since = Some(Vec::new());
            state.changes
        };
        let mut lessons = self.read_long(
            |_| Vec::new(),
            |state, all: &mut Vec<(Lesson, Spoken)>, n| {
                let facts = &state.facts;
                let from = n * 1024;
                let to = (from + 1024).min(facts.record_slots());
                (from < to).then(|| {
                    let live = (from..to).map(|slot| slot as u32);
                    let live = live.filter(|&s| facts.record(s).pair != NONE);
                    all.extend(live.filter_map(|s| Some((lesson(facts, s)?, spoken(facts, s)))));
                    to - from
                })
            },
        );
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
        let mut state = self.state.write();
        let since = state.taught.since.take().unwrap_or_default();
        state.taught = Taught { since: None, version: taught, changes };
        state.learned = learned;
        for lesson in since {
            state.learn_on_top(&lesson);
        }
    }
}

/// Whether a pair has records of one side only: most have, and nothing has to be remembered of
/// them.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    One,
    Both,
}

fn spoken(facts: &Facts, slot: u32) -> Spoken {
    let r = facts.record(slot);
    let both = facts.records_of(r.pair).any(|other| facts.record(other).owner != r.owner);
    if both { Spoken::Both } else { Spoken::One }
}
