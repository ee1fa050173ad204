//! The network as it stands when the demo starts: who is in it, who states what about whom, and
//! what others say of that.
//!
//! A planted partition (groups, each in a city) in which newcomers attach to the sociable and the
//! well connected, friends of friends meet, and a few ties cross the map: degrees follow a power
//! law and nearly everyone is within reach of everyone, as in networks of people.
//!
//! Law: no draw from the generator depends on `now`. The same seed is the same network; `now`
//! only says when it happened.

use std::collections::HashSet;

use jiff::{Timestamp, tz::TimeZone};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::groups::{FAMILY, Group, KINDS, OLD_FRIENDS, PLACES};
use super::people::{CITIES, Kind, Person, Registry, person, pick};
use super::{PROFILE, commit, datetime, fill, tid, time};

mod statements;

/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;
/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;
/// Nothing happens in the last two minutes: there the stream begins, and pushing equal times
/// apart never reaches `now`.
const QUIET: i64 = 2 * MINUTE;
/// Record keys are TIDs counted from 2022-01-01: they depend on the seed, never on `now`.
const KEY_EPOCH: i64 = 1_640_995_200_000_000;
/// From one record key to the next.
const KEY_STEP: i64 = 20_000_000;

/// The people, and everything that they said, oldest first.
#[derive(Debug, Clone)]
pub struct Network {
    /// Who is in it; organizations and agents come last.
    pub people: Vec<Person>,
    /// Their groups; [`Person::groups`] points here.
    pub(super) groups: Vec<Group>,
    /// Jetstream-shaped events in order of `time_us`.
    pub events: Vec<Value>,
}

/// Why two people know each other.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// Both belong to it.
    Group(usize),
    Family,
    OldFriends,
}

impl Why {
    /// `type` of a relationship of this origin; now and then another than the group's usual one.
    pub(super) fn tie(self, rng: &mut StdRng, groups: &[Group]) -> &'static str {
        match self {
            Why::Family => "family",
            Why::OldFriends => pick(rng, &["personal", "personal", "social"]),
            Why::Group(g) if rng.random_bool(0.85) => groups[g].kind.tie,
            Why::Group(_) => pick(rng, &["personal", "social", "professional"]),
        }
    }

    /// What one of them writes about it.
    pub(super) fn sentence(
        self,
        rng: &mut StdRng,
        groups: &[Group],
        called: &str,
        year: i16,
    ) -> String {
        let (sentences, group) = match self {
            Why::Family => (FAMILY, ""),
            Why::OldFriends => (OLD_FRIENDS, ""),
            Why::Group(g) => (groups[g].kind.contexts, groups[g].name.as_str()),
        };
        fill(pick(rng, sentences), group, called, year)
    }
}

struct Tie {
    a: usize,
    b: usize,
    why: Why,
    /// 0 acquaintance … 1 closest.
    closeness: f64,
}

/// What is to be said, before times are made unique.
struct Draft {
    at: i64,
    by: usize,
    what: What,
}

enum What {
    Identity,
    Write { operation: &'static str, collection: &'static str, rkey: String, record: Value },
}

/// The demo network of `people` accounts. Pure: the same arguments give the same events.
pub fn network(seed: u64, now: Timestamp, people: usize) -> Network {
    let mut maker = Maker {
        rng: StdRng::seed_from_u64(seed),
        now: now.as_microsecond(),
        groups: Vec::new(),
        people: Vec::with_capacity(people),
        ties: Vec::new(),
        circles: Vec::new(),
        drafts: Vec::new(),
        keys: 0,
    };
    let relatives = maker.gather(seed, people);
    maker.acquaint(&relatives);
    maker.introduce_themselves();
    let statements = maker.state();
    maker.attest(&statements);
    maker.annotate(&statements);
    maker.finish()
}

struct Maker {
    rng: StdRng,
    now: i64,
    groups: Vec<Group>,
    people: Vec<Person>,
    ties: Vec<Tie>,
    /// For each of `people`, whom it is tied to.
    circles: Vec<Vec<usize>>,
    drafts: Vec<Draft>,
    keys: i64,
}

impl Maker {
    fn key(&mut self) -> String {
        self.keys += 1;
        tid(KEY_EPOCH + self.keys * KEY_STEP, 17)
    }

    /// Groups, and people who belong to one or more of them. Answers who is whose relative.
    fn gather(&mut self, seed: u64, count: usize) -> Vec<(usize, usize)> {
        let rng = &mut self.rng;
        let organizations = count / 60;
        let agents = count / 400;
        let persons = count - organizations - agents;

        let mut places = PLACES.to_vec();
        places.shuffle(rng);
        let wanted = (persons / 32).max(1);
        let mut names = HashSet::new();
        for i in 0..wanted {
            let kind = &KINDS[i % KINDS.len()];
            let ending = pick(rng, kind.names);
            let mut name = format!("{} {ending}", places[i % places.len()]);
            let mut nth = 2;
            while !names.insert(name.clone()) {
                name = format!("{} {ending} {nth}", places[i % places.len()]);
                nth += 1;
            }
            self.groups.push(Group {
                name,
                kind,
                city: rng.random_range(0..CITIES.len()),
                pull: pareto(rng, 1.6, 8.0),
            });
        }

        let mut registry = Registry::new(seed);
        let mut relatives = Vec::new();
        for i in 0..persons {
            let city = rng.random_range(0..CITIES.len());
            let mut member = vec![choose_group(rng, &self.groups, Some(city))];
            for p in [0.55, 0.2] {
                if rng.random_bool(p) {
                    let at = rng.random_bool(0.6).then_some(city);
                    let group = choose_group(rng, &self.groups, at);
                    if !member.contains(&group) {
                        member.push(group);
                    }
                }
            }
            let relative = (i > 0 && rng.random_bool(0.12)).then(|| rng.random_range(0..i));
            let family = relative.map(|r| self.people[r].family);
            let one = person(rng, &mut registry, city, member, &self.groups, family);
            if let Some(r) = relative {
                relatives.push((r, i));
            }
            self.people.push(one);
        }
        for i in 0..organizations + agents {
            let g = i % self.groups.len();
            let group = &self.groups[g];
            let (kind, name, domain) = if i < organizations {
                (Kind::Organization, group.name.clone(), "groups.example")
            } else {
                (Kind::Agent, format!("{} Assistant", group.name), "agents.example")
            };
            let bio = match kind {
                Kind::Agent => format!("Answers questions about the {}. A program.", group.name),
                _ => format!("{}, {}.", group.name, CITIES[group.city]),
            };
            self.people.push(Person {
                did: registry.did(),
                handle: registry.handle(&name, domain),
                called: name.clone(),
                name,
                kind,
                bio,
                city: group.city,
                groups: vec![g],
                family: "",
            });
        }
        relatives
    }

    /// Who knows whom.
    fn acquaint(&mut self, relatives: &[(usize, usize)]) {
        let count = self.people.len();
        let rng = &mut self.rng;
        let mut ties: Vec<Tie> = Vec::with_capacity(count * 5);
        let mut circles: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut known: HashSet<(usize, usize)> = HashSet::new();
        let mut tie = |rng: &mut StdRng, circles: &mut Vec<Vec<usize>>, a, b, why| {
            if a == b || !known.insert(if a < b { (a, b) } else { (b, a) }) {
                return;
            }
            let closeness = match why {
                Why::Family => rng.random_range(0.55..1.0),
                // The mean of two draws: few are very close, few hardly know each other.
                _ => (rng.random::<f64>() + rng.random::<f64>()) / 2.0,
            };
            circles[a].push(b);
            circles[b].push(a);
            ties.push(Tie { a, b, why, closeness });
        };

        let sociable: Vec<f64> = (0..count).map(|_| pareto(rng, 2.0, 40.0)).collect();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.groups.len()];
        for i in 0..count {
            for &g in &self.people[i].groups {
                let mates = &members[g];
                let meets = if self.people[i].kind == Kind::Person {
                    1 + rng.random_range(0..4usize)
                } else {
                    2
                };
                for _ in 0..meets.min(mates.len()) {
                    // Preferential attachment: the sociable who already know many.
                    if let Ok(&mate) = mates
                        .choose_weighted(rng, |&m| sociable[m] * (1.0 + circles[m].len() as f64))
                    {
                        tie(rng, &mut circles, i, mate, Why::Group(g));
                    }
                }
                if self.people[i].kind == Kind::Person {
                    members[g].push(i);
                }
            }
        }
        for &(older, younger) in relatives {
            tie(rng, &mut circles, younger, older, Why::Family);
        }
        let persons = self.people.iter().filter(|p| p.kind == Kind::Person).count();
        for i in 0..persons {
            // Someone from elsewhere, met through whoever a random person happens to know.
            if rng.random_bool(0.45) {
                let stranger = rng.random_range(0..persons);
                let friend = circles[stranger].choose(rng).copied().unwrap_or(stranger);
                if friend < persons {
                    tie(rng, &mut circles, i, friend, Why::OldFriends);
                }
            }
            // Friends of friends: what makes circles of acquaintance closed.
            for _ in 0..2 {
                let Some(&friend) = circles[i].choose(rng) else {
                    continue;
                };
                let Some(&third) = circles[friend].choose(rng) else {
                    continue;
                };
                if third < persons && friend < persons && rng.random_bool(0.7) {
                    let why = shared(&self.people[i], &self.people[third])
                        .map_or(Why::OldFriends, Why::Group);
                    tie(rng, &mut circles, i, third, why);
                }
            }
        }
        self.ties = ties;
        self.circles = circles;
    }

    /// Identities and profiles, long before anything else.
    fn introduce_themselves(&mut self) {
        for by in 0..self.people.len() {
            let ago = self.rng.random_range(1_140 * DAY..1_400 * DAY);
            let verified = self.rng.random_bool(0.04);
            let at = self.now - ago;
            let person = &self.people[by];
            let mut record = json!({
                "$type": PROFILE,
                "displayName": person.name,
                "entityType": person.kind.as_str(),
            });
            if !person.bio.is_empty() {
                record["bio"] = json!(person.bio);
            }
            if verified {
                record["verified"] = json!(true);
            }
            record["metadata"] = json!({"city": CITIES[person.city]});
            record["createdAt"] = json!(datetime(at));
            self.drafts.push(Draft { at, by, what: What::Identity });
            self.write(at + MINUTE, by, "create", PROFILE, "self".to_owned(), record);
        }
    }

    fn write(
        &mut self,
        at: i64,
        by: usize,
        operation: &'static str,
        collection: &'static str,
        rkey: String,
        record: Value,
    ) {
        let what = What::Write { operation, collection, rkey, record };
        self.drafts.push(Draft { at, by, what });
    }

    /// Drafts in order of time, no two at the same microsecond.
    fn finish(mut self) -> Network {
        self.drafts.sort_by_key(|draft| draft.at);
        let mut last = i64::MIN;
        let mut events = Vec::with_capacity(self.drafts.len());
        for (seq, draft) in self.drafts.into_iter().enumerate() {
            let time_us = draft.at.max(last.saturating_add(1));
            last = time_us;
            let person = &self.people[draft.by];
            events.push(match draft.what {
                What::Identity => json!({
                    "did": person.did,
                    "time_us": time_us,
                    "kind": "identity",
                    "identity": {
                        "did": person.did,
                        "handle": person.handle,
                        "seq": seq + 1,
                        "time": datetime(time_us),
                    },
                }),
                What::Write { operation, collection, rkey, record } => {
                    commit(&person.did, time_us, operation, collection, &rkey, Some(record))
                }
            });
        }
        Network { people: self.people, groups: self.groups, events }
    }
}

/// A Pareto draw from 1 to `most`, of tail exponent `alpha`.
fn pareto(rng: &mut StdRng, alpha: f64, most: f64) -> f64 {
    (1.0 - rng.random::<f64>()).powf(-1.0 / alpha).min(most)
}

/// A group by its pull; where `city` is given, one of that city when there is any.
fn choose_group(rng: &mut StdRng, groups: &[Group], city: Option<usize>) -> usize {
    let all: Vec<usize> = (0..groups.len()).collect();
    let local: Vec<usize> = all.iter().copied().filter(|&g| Some(groups[g].city) == city).collect();
    let from = if local.is_empty() { &all } else { &local };
    from.choose_weighted(rng, |&g| groups[g].pull).copied().unwrap_or(0)
}

/// A group to which both belong.
pub(super) fn shared(a: &Person, b: &Person) -> Option<usize> {
    a.groups.iter().copied().find(|g| b.groups.contains(g))
}

/// The calendar year of a time, UTC.
pub(super) fn year(micros: i64) -> i16 {
    TimeZone::UTC.to_datetime(time(micros)).year()
}

#[cfg(test)]
mod tests;
