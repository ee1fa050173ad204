//! What has been learned from all statements: enough to say what one would state about another.
//! Everything is O(1): one statement, one answer, and what is kept of an entity (64 bytes).
//!
//! With y a strength as 0–1, *m* the mean of all y (0.5 before any), *u* who states, *v* about
//! whom, and Δ the days between two moments, whichever is first:
//!
//! ```text
//! z        y − m                    what there is to explain
//! L        Σr / (n + 5)             lasting: the mean of all its r, shrunk
//! S, R     Σr·k / (Σk + c)          session, recent: k = 1 / (1 + Δ/τ), Δ to the newest
//!            as rater               S: τ = 5 min,  c = 0.5     R: τ = 2 days,  c = 2
//!            as ratee               S: τ = 30 min, c = 1.5     R: τ = 10 days, c = 1
//! N        n / (n + 10)             how much is known at all
//! D        y' − m − L(u) − S(u) − L(v) − S(v)     when v has stated y' about u, else 0
//! E        D / (1 + Δ/τ)            τ = 0.3 days, Δ between that and now
//!
//! rater        w₁·L(u) + w₂·S(u) + w₃·R(u) + w₄·N(u)
//! ratee        w₅·L(v) + w₆·S(v) + w₇·R(v) + w₈·N(v)
//! reciprocity  w₉·D + w₁₀·E
//! estimate     m + rater + ratee + reciprocity, within 0–1
//! ```
//!
//! What is left for each (r): the lasting one of *u* gets z − L(v), that of *v* gets z − L(u). S
//! and R of *u* get z − L(u) − L(v) − S(v), those of *v* get z − L(u) − L(v) − S(u). (Of several
//! moments, Σ fades from each newest one to the next: k is that of the last step times what was
//! left before it.) The weights are learned too: [`weights`].
//!
//! Biases of raters and ratees, shrunk, are those of Koren, "Factor in the neighbors" (TKDD 2010,
//! section 2.1), and two time scales for a rater those of his "Collaborative filtering with
//! temporal dynamics" (KDD 2009, section 4); that time fades as a hyperbola and what the other
//! said comes in is measured here. All numbers above were chosen on the statements at 20–60 % of
//! Bitcoin OTC; see docs/decisions/0012.

mod weights;

use crate::facts::{Chunks, Facts};
use rhiz_domain::fact::RecordKey;
use weights::{Features, Weights};

/// Days.
const MINUTE: f64 = 1.0 / 1440.0;
const LASTING_SHRINKAGE: f64 = 5.0;
const KNOWN: f64 = 10.0;
const ANSWER_MEMORY: f64 = 0.3;

/// How a role forgets and shrinks.
struct Manner {
    session_memory: f64,
    session_shrinkage: f64,
    recent_memory: f64,
    recent_shrinkage: f64,
}

const RATER: Manner = Manner {
    session_memory: 5.0 * MINUTE,
    session_shrinkage: 0.5,
    recent_memory: 2.0,
    recent_shrinkage: 2.0,
};
const RATEE: Manner = Manner {
    session_memory: 30.0 * MINUTE,
    session_shrinkage: 1.5,
    recent_memory: 10.0,
    recent_shrinkage: 1.0,
};

/// What is left of something after so many days, or so many before it: who asks about the past
/// is as far from what came later as from what was before.
fn kept(days: f64, memory: f64) -> f64 {
    1.0 / (1.0 + days.abs() / memory)
}

/// Sum and weight.
#[derive(Debug, Clone, Copy, Default)]
struct Pile {
    sum: f32,
    weight: f32,
}

impl Pile {
    fn shrunk(self, kept: f64, shrinkage: f64) -> f64 {
        f64::from(self.sum) * kept / (f64::from(self.weight) * kept + shrinkage)
    }

    /// What was there fades, what comes may have faded already.
    fn add(&mut self, [kept, share]: [f64; 2], value: f64) {
        self.sum = (f64::from(self.sum) * kept + value * share) as f32;
        self.weight = (f64::from(self.weight) * kept + share) as f32;
    }
}

/// What is left unexplained of what somebody states, or of what is stated about them.
#[derive(Debug, Clone, Copy)]
struct Role {
    lasting: Pile,
    session: Pile,
    recent: Pile,
    /// Of the newest statement, days since 1970.
    at: f64,
}

impl Default for Role {
    fn default() -> Self {
        let [lasting, session, recent] = [Pile::default(); 3];
        Self { lasting, session, recent, at: f64::NEG_INFINITY }
    }
}

/// A role, as seen at one moment.
#[derive(Debug, Clone, Copy)]
struct Biases {
    lasting: f64,
    session: f64,
    recent: f64,
    known: f64,
}

impl Role {
    fn at(&self, at: f64, manner: &Manner) -> Biases {
        let (away, n) = (at - self.at, f64::from(self.lasting.weight));
        Biases {
            lasting: self.lasting.shrunk(1.0, LASTING_SHRINKAGE),
            session: self
                .session
                .shrunk(kept(away, manner.session_memory), manner.session_shrinkage),
            recent: self.recent.shrunk(kept(away, manner.recent_memory), manner.recent_shrinkage),
            known: n / (n + KNOWN),
        }
    }

    fn learn(&mut self, at: f64, manner: &Manner, lasting: f64, passing: f64) {
        let away = at - self.at;
        // What arrives late is the one that has faded.
        let fade = |memory| {
            let kept = kept(away, memory);
            if away < 0.0 { [1.0, kept] } else { [kept, 1.0] }
        };
        self.lasting.add([1.0, 1.0], lasting);
        self.session.add(fade(manner.session_memory), passing);
        self.recent.add(fade(manner.recent_memory), passing);
        self.at = self.at.max(at);
    }
}

/// What somebody has stated about who is to state something about them now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stated {
    /// Strength, 0.0–1.0.
    pub(crate) y: f64,
    /// Days since 1970.
    pub(crate) at: f64,
}

/// One statement, as far as learning goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lesson {
    pub(crate) key: RecordKey,
    pub(crate) subject: u32,
    pub(crate) stated: Stated,
}

/// The four addends of an estimate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addends {
    pub(crate) mean: f64,
    pub(crate) rater: f64,
    pub(crate) ratee: f64,
    pub(crate) reciprocity: f64,
}

impl Addends {
    pub(crate) fn estimate(self) -> f64 {
        (self.mean + self.rater + self.ratee + self.reciprocity).clamp(0.0, 1.0)
    }
}

/// How far from the estimate four of five statements lie: it grows by four parts with each that
/// lies beyond, and shrinks by one with each that does not. The parts are large at first.
#[derive(Debug, Clone, Copy)]
struct Reach(f64);

impl Reach {
    const LEAST_STEP: f64 = 0.002;
    /// Strengths are whole hundredths.
    const LEAST: f64 = 0.005;

    fn learn(&mut self, missed: f64, learned: f64) {
        let step = (0.5 / (learned + 1.0)).max(Self::LEAST_STEP);
        self.0 += step * if missed > self.0 { 0.8 } else { -0.2 };
        self.0 = self.0.max(Self::LEAST);
    }
}

/// What has been learned.
#[derive(Debug)]
pub(crate) struct Learned {
    sum: f64,
    count: f64,
    /// By entity: as rater, as ratee.
    roles: Chunks<[Role; 2]>,
    weights: Weights,
    reach: Reach,
}

/// What an estimate is made from.
struct Seen {
    mean: f64,
    rater: Biases,
    ratee: Biases,
    features: Features,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            sum: 0.0,
            count: 0.0,
            roles: Chunks::new(),
            weights: Weights::default(),
            reach: Reach(0.5),
        }
    }
}

impl Learned {
    /// Nothing yet, with room for everyone there is.
    pub(crate) fn about(facts: &Facts) -> Self {
        let mut new = Self::default();
        new.roles.grow(facts.people_slots());
        new
    }

    /// Brings near what is known of the people of some lessons: memory brings many at the same
    /// time, if it is asked for them one after another.
    pub(crate) fn fetch<'a>(&self, lessons: impl Iterator<Item = &'a Lesson>) {
        let people = lessons.flat_map(|lesson| [lesson.key.owner.0, lesson.subject]);
        let roles = people.filter_map(|id| self.roles.get(id as usize));
        std::hint::black_box(roles.map(|[rater, ratee]| rater.at + ratee.at).sum::<f64>());
    }

    /// Brings near what is known of one.
    pub(crate) fn fetch_one(&self, id: u32) -> u64 {
        let roles = self.roles.get(id as usize);
        roles.map_or(0, |[rater, ratee]| rater.at.to_bits() ^ ratee.at.to_bits())
    }

    fn see(&self, from: u32, to: u32, at: f64, answer: Option<Stated>) -> Seen {
        let role = |id: u32, n: usize, manner: &Manner| {
            self.roles.get(id as usize).map_or(Role::default(), |roles| roles[n]).at(at, manner)
        };
        // Before anything was said: the middle.
        let mean = if self.count > 0.0 { self.sum / self.count } else { 0.5 };
        let (u, v) = (role(from, 0, &RATER), role(to, 1, &RATEE));
        let [distance, just_now] = answer.map_or([0.0; 2], |Stated { y, at: then }| {
            let distance = y - mean - u.lasting - u.session - v.lasting - v.session;
            [distance, distance * kept(at - then, ANSWER_MEMORY)]
        });
        let of = |b: Biases| [b.lasting, b.session, b.recent, b.known];
        let ([a, b, c, d], [e, f, g, h]) = (of(u), of(v));
        let features = [a, b, c, d, e, f, g, h, distance, just_now];
        Seen { mean, rater: u, ratee: v, features }
    }

    fn weigh(&self, seen: &Seen) -> Addends {
        let part = |range: std::ops::Range<usize>| self.weights.sum(&seen.features, range);
        Addends { mean: seen.mean, rater: part(0..4), ratee: part(4..8), reciprocity: part(8..10) }
    }

    /// What `from` would state about `to` at a moment (days since 1970), having heard `answer`
    /// from them.
    pub(crate) fn addends(&self, from: u32, to: u32, at: f64, answer: Option<Stated>) -> Addends {
        self.weigh(&self.see(from, to, at, answer))
    }

    /// How far from an estimate four of five statements lie.
    pub(crate) fn reach(&self) -> f64 {
        self.reach.0
    }

    pub(crate) fn learn(&mut self, lesson: &Lesson, answer: Option<Stated>) {
        let Lesson { key, subject, stated: Stated { y, at } } = *lesson;
        let (from, to) = (key.owner.0, subject);
        let seen = self.see(from, to, at, answer);
        let missed = (y - self.weigh(&seen).estimate()).abs();
        self.reach.learn(missed, self.count);
        let z = y - seen.mean;
        self.weights.learn(&seen.features, z);
        let (u, v) = (seen.rater, seen.ratee);
        let left = z - u.lasting - v.lasting;
        self.roles.grow(from.max(to) as usize + 1);
        self.roles[from as usize][0].learn(at, &RATER, z - v.lasting, left - v.session);
        self.roles[to as usize][1].learn(at, &RATEE, z - u.lasting, left - u.session);
        self.sum += y;
        self.count += 1.0;
    }
}
