//! Predictions: what somebody would state about somebody, learned from what all have stated.
//!
//! Global mean + rater's bias + ratee's bias + reciprocity. Each bias is a mean of what was left
//! unexplained, shrunk towards nothing and forgotten with time. One statement is learned in O(1).
//!
//! This is the one place where the order of arrival may decide something, between two calls of
//! [`Graph::relearn`], which learns everything in the order of (effective date, URI): the
//! reference. What is deleted, refused or hidden stays learned until then.

use crate::facts::{Chunks, Facts};
use crate::graph::Graph;
use crate::state::State;
use rhiz_domain::fact::{EntityId, RecordKey, Visibility};
use std::collections::HashMap;

/// Chosen on the statements at 20–60 % of Bitcoin OTC, in order of time; see docs/decisions.
const RATER_SHRINKAGE: f64 = 0.9;
const RATEE_SHRINKAGE: f64 = 1.3;
/// e-folding times, in days.
const RATER_MEMORY: f64 = 3.75;
const RATEE_MEMORY: f64 = 60.0;
const MEAN_MEMORY: f64 = 90.0;
/// How far an answer follows what the other has said …
const RECIPROCITY: f64 = 0.6;
/// … and what was surprising about it.
const SURPRISE: f64 = 0.1;
/// Half the width of the interval, in root mean squares of what was missed: a normal
/// distribution has 80 % within.
const INTERVAL: f64 = 1.2816;

const DAY: f64 = 86_400e6;

/// A mean that forgets.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    sum: f64,
    weight: f64,
    /// Days since 1970.
    at: f64,
}

impl Fading {
    fn kept(&self, at: f64, memory: f64) -> f64 {
        (-(at - self.at).max(0.0) / memory).exp()
    }

    fn shrunk(&self, at: f64, memory: f64, shrinkage: f64) -> f64 {
        let kept = self.kept(at, memory);
        self.sum * kept / (self.weight * kept + shrinkage)
    }

    fn learn(&mut self, at: f64, memory: f64, value: f64) {
        let kept = self.kept(at, memory);
        self.sum = self.sum * kept + value;
        self.weight = self.weight * kept + 1.0;
        self.at = self.at.max(at);
    }
}

/// One statement, as far as learning goes. `y` is the strength as 0.0–1.0.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    key: RecordKey,
    subject: u32,
    slot: u32,
    y: f64,
    at: f64,
}

/// What has been learned.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    mean: Fading,
    /// By entity: as rater, as ratee.
    biases: Chunks<[Fading; 2]>,
    /// By record slot: how much more it stated than was to be expected.
    surprise: Chunks<f32>,
    missed: Fading,
    /// What was learned since a relearning began.
    since: Option<Vec<Lesson>>,
    /// The graph's version when the last relearning began.
    taught: u64,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    mean: f64,
    rater: f64,
    ratee: f64,
}

impl Base {
    fn sum(self) -> f64 {
        self.mean + self.rater + self.ratee
    }
}

impl Learned {
    /// Nothing yet, of everyone and everything there is.
    pub(crate) fn about(facts: &Facts) -> Self {
        let mut new = Self::default();
        new.biases.grow(facts.people_slots());
        new.surprise.grow(facts.record_slots());
        new
    }

    fn base(&self, from: u32, to: u32, at: f64) -> Base {
        let bias = |id: u32, role: usize| {
            self.biases.get(id as usize).map_or(Fading::default(), |b| b[role])
        };
        // Before anything was said: the middle.
        let mean = if self.mean.weight > 0.0 { self.mean.sum / self.mean.weight } else { 0.5 };
        Base {
            mean,
            rater: bias(from, 0).shrunk(at, RATER_MEMORY, RATER_SHRINKAGE),
            ratee: bias(to, 1).shrunk(at, RATEE_MEMORY, RATEE_SHRINKAGE),
        }
    }

    /// The estimate with what the other has said: its y and its surprise.
    fn estimate(base: Base, answer: Option<(f64, f64)>) -> (f64, f64) {
        let reciprocity = answer
            .map_or(0.0, |(y, surprise)| RECIPROCITY * (y - base.sum()) + SURPRISE * surprise);
        ((base.sum() + reciprocity).clamp(0.0, 1.0), reciprocity)
    }

    fn learn(&mut self, lesson: &Lesson, answer: Option<(f64, f64)>) {
        let Lesson { key, subject, slot, y, at } = *lesson;
        let (from, to) = (key.owner.0, subject);
        let base = self.base(from, to, at);
        let (estimate, _) = Self::estimate(base, answer);
        self.biases.grow(from.max(to) as usize + 1);
        self.surprise.grow(slot as usize + 1);
        self.missed.learn(at, MEAN_MEMORY, (y - estimate).powi(2));
        self.surprise[slot as usize] = (y - base.sum()) as f32;
        self.biases[from as usize][0].learn(at, RATER_MEMORY, y - base.mean - base.ratee);
        self.biases[to as usize][1].learn(at, RATEE_MEMORY, y - base.mean - base.rater);
        self.mean.learn(at, MEAN_MEMORY, y);
        if let Some(since) = &mut self.since {
            since.push(*lesson);
        }
    }
}

fn lesson(facts: &Facts, slot: u32) -> Option<Lesson> {
    let r = facts.record(slot);
    (facts.counted(slot) && r.visibility != Visibility::Private).then(|| Lesson {
        key: r.key(),
        subject: r.subject,
        slot,
        y: f64::from(r.strength) / 100.0,
        at: facts.created(slot) as f64 / DAY,
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
        let facts = &self.facts;
        let Some(lesson) = lesson(facts, slot) else { return };
        let answer = self.answer(lesson.subject, lesson.key.owner.0);
        self.learned.learn(&lesson, answer);
    }

    /// What `from` has said of `to`: strength as 0.0–1.0, and what was surprising about it.
    fn answer(&self, from: u32, to: u32) -> Option<(f64, f64)> {
        let slot = newest(&self.facts, from, to)?;
        let surprise = self.learned.surprise.get(slot as usize).copied().unwrap_or(0.0);
        let y = f64::from(self.facts.record(slot).strength) / 100.0;
        Some((y, f64::from(surprise)))
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
    /// What all state, of late.
    pub mean: f64,
    /// How much more than that this rater states, of late.
    pub rater: f64,
    /// How much more than that is stated about this ratee, of late.
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

    /// What `from` would state about `to` at an instant (microseconds since 1970) that is not
    /// before what was learned last. Of people nobody knows, what everybody states of everybody.
    #[must_use]
    pub fn predict_at(&self, from: EntityId, to: EntityId, micros: i64) -> Prediction {
        let state = self.state.read();
        let (facts, learned) = (&state.facts, &state.learned);
        let base = learned.base(from.0, to.0, micros as f64 / DAY);
        let (estimate, reciprocity) = Learned::estimate(base, state.answer(to.0, from.0));
        let missed = &learned.missed;
        let error = if missed.weight > 0.0 { (missed.sum / missed.weight).sqrt() } else { 0.5 };
        let stated = newest(facts, from.0, to.0).map(|slot| facts.record(slot)).filter(|r| {
            facts.pairs[r.pair as usize].consent != rhiz_domain::fact::Consent::Anonymous
        });
        Prediction {
            estimate,
            low: (estimate - INTERVAL * error).max(0.0),
            high: (estimate + INTERVAL * error).min(1.0),
            mean: base.mean,
            rater: base.rater,
            ratee: base.ratee,
            reciprocity,
            stated: stated.map(|r| f64::from(r.strength) / 100.0),
        }
    }

    /// The version of the graph that was learned from last. Predictions of one version and day are
    /// the same as long as this is: the one thing beside facts and day that they depend on.
    #[must_use]
    pub fn taught(&self) -> u64 {
        self.state.read().learned.taught
    }

    /// Learns everything anew, in the order of (effective date, URI). To be called after a load
    /// and once a day, off the path of requests; changes go on meanwhile, and are learned on top.
    pub fn relearn(&self) {
        // Of what comes while it learns, some is learned twice: so it is named by the version it
        // began with.
        let taught = self.version();
        {
            self.state.write().learned.since = Some(Vec::new());
        }
        let mut lessons = self.read_long(
            |_| Vec::new(),
            |state, all: &mut Vec<(Lesson, Spoken)>, n| {
                let facts = &state.facts;
                let from = n * 1024;
                let to = (from + 1024).min(facts.record_slots());
                (from < to).then(|| {
                    let live = (from..to).map(|slot| slot as u32);
                    let live = live.filter(|&s| facts.record(s).pair != crate::facts::NONE);
                    all.extend(live.filter_map(|s| Some((lesson(facts, s)?, spoken(facts, s)))));
                    to - from
                })
            },
        );
        let order = |(a, _): &(Lesson, Spoken), (b, _): &(Lesson, Spoken)| {
            a.at.total_cmp(&b.at).then_with(|| {
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
        let mut said: HashMap<(u32, u32), (f64, u32)> = HashMap::new();
        for (lesson, spoken) in &lessons {
            let (from, to) = (lesson.key.owner.0, lesson.subject);
            let answer = match spoken {
                Spoken::Both => said.get(&(to, from)),
                Spoken::One => None,
            };
            let answer = answer.map(|&(y, slot)| (y, f64::from(learned.surprise[slot as usize])));
            learned.learn(lesson, answer);
            if let Spoken::Both = spoken {
                said.insert((from, to), (lesson.y, lesson.slot));
            }
        }
        drop(lessons);
        let mut state = self.state.write();
        let since = state.learned.since.take().unwrap_or_default();
        state.learned = Learned { taught, ..learned };
        for lesson in since {
            let answer = state.answer(lesson.subject, lesson.key.owner.0);
            state.learned.learn(&lesson, answer);
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
