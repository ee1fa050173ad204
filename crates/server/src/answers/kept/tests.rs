//! What is kept against what is worked out, after every event: random people state, attest, refuse,
//! hide and leave, through the pipeline of a real node, while others ask all the time.
//!
//! That the comparison finds a tag that is missing is shown by leaving tags out.

use crate::{
    answers::{Algorithm, Answers, NeighboursQuestion, NoAnswer, PathQuestion},
    config::{Sources, survey},
    node::Node,
};
use jiff::{Timestamp, ToSpan};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rhiz_cache::{CacheConfig, CacheService, Target};
use rhiz_domain::{
    Clock, Collection, Did, EventType, Tid,
    cache::Invalidation,
    clock::{SystemClock, SystemEntropy},
    syntax::format_datetime,
};
use rhiz_graph::TrustMetrics;
use rhiz_pipeline::{Ended, Submission};
use serde_json::{Value, json, value::to_raw_value};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const PEOPLE: usize = 8;

fn did(n: usize) -> String {
    // Characters that a pattern and a key could take for their own.
    format!("did:web:p{n}.example:a%2Ab")
}

/// What happens, and whom it names.
struct Happening {
    event_type: EventType,
    did: String,
    payload: Value,
    names: BTreeSet<String>,
}

/// Who is there, and what they have said.
struct World {
    dice: StdRng,
    start: Timestamp,
    revs: u64,
    /// URIs of relationships ever stated, their owners and subjects.
    stated: Vec<(String, usize, usize)>,
    /// URIs of attestations ever made, and their attesters.
    attested: Vec<(String, usize)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let start = SystemClock::default().now();
        let dice = StdRng::seed_from_u64(seed);
        Self { dice, start, revs: 0, stated: Vec::new(), attested: Vec::new() }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.dice).unwrap()
    }

    fn rev(&mut self) -> Tid {
        self.revs += 1;
        // A little before now: nothing comes from the future.
        Tid::from_u64((self.start.as_microsecond() as u64 - 1_000_000 + self.revs) << 10).unwrap()
    }

    fn two(&mut self) -> (usize, usize) {
        let a = self.dice.random_range(0..PEOPLE);
        (a, (a + self.dice.random_range(1..PEOPLE)) % PEOPLE)
    }

    fn days_ago(&mut self, days: &[i64]) -> String {
        let days = self.pick(days);
        format_datetime(self.start.checked_sub((days * 24).hours()).unwrap())
    }

    fn states(&mut self) -> Happening {
        let (mut owner, mut subject) = self.two();
        let key = (owner * 1000 + subject * 10) as u64 + self.pick(&[0, 0, 0, 1]);
        let mut uri = Collection::Relationship.uri(&did(owner), Tid::from_u64(key << 20).unwrap());
        // At times a record comes to be about somebody else.
        if self.dice.random_ratio(1, 12)
            && let Some(old) = self.stated.choose(&mut self.dice).cloned()
            && old.1 != subject
        {
            (uri, owner) = (old.0, old.1);
            subject = if owner == subject { (owner + 1) % PEOPLE } else { subject };
        }
        self.stated.push((uri.clone(), owner, subject));
        let last = self.days_ago(&[0, 0, 10, 29, 31, 400]);
        let record = json!({
            "$type": Collection::Relationship.nsid(),
            "participants": [did(owner), did(subject)],
            "type": self.pick(&["professional", "professional", "family", "bowling"]),
            "strength": self.pick(&[0, 20, 30, 60, 80, 100]),
            "context": "",
            "privacy": {
                "visibility": self.pick(&["public", "public", "public", "network", "private"]),
                "consent": self.pick(&["full", "full", "full", "limited", "anonymous"]),
            },
            "temporal": {"start": last, "lastInteraction": last, "history": []},
            "createdAt": last,
        });
        Happening {
            event_type: EventType::RelationshipCreated,
            names: [did(owner), did(subject)].into(),
            payload: json!({"uri": uri, "rev": self.rev().to_string(), "record": record}),
            did: did(owner),
        }
    }

    fn says(&mut self) -> Option<Happening> {
        let (target, owner, subject) = self.stated.choose(&mut self.dice)?.clone();
        let by = self.dice.random_range(0..PEOPLE);
        // Now and then the one said before is said anew.
        let known = self.attested.choose(&mut self.dice).cloned();
        let rev = self.rev();
        let (uri, by) = match known.filter(|_| self.dice.random_ratio(1, 6)) {
            Some(known) => known,
            None => (Collection::Attestation.uri(&did(by), rev), by),
        };
        self.attested.push((uri.clone(), by));
        let created = self.days_ago(&[0, 5, 35, 200]);
        Some(Happening {
            event_type: EventType::AttestationCreated,
            did: did(by),
            payload: json!({
                "uri": uri,
                "rev": rev.to_string(),
                "attester_did": did(by),
                "target_uri": target,
                "attestation_type":
                    self.pick(&["verify", "verify", "strengthen", "weaken", "dispute"]),
                "confidence": self.pick(&[10, 50, 90, 100]),
                "created_at": created,
            }),
            names: [did(by), did(owner), did(subject)].into(),
        })
    }

    fn takes_back(&mut self) -> Option<Happening> {
        let relationship = self.dice.random();
        let (event_type, uri, by) = if relationship {
            let (uri, owner, _) = self.stated.choose(&mut self.dice)?.clone();
            (EventType::RelationshipDeleted, uri, owner)
        } else {
            let (uri, by) = self.attested.choose(&mut self.dice)?.clone();
            (EventType::AttestationDeleted, uri, by)
        };
        let payload = json!({"uri": uri, "rev": self.rev().to_string()});
        Some(Happening { event_type, did: did(by), payload, names: [did(by)].into() })
    }

    fn of_a_person(&mut self) -> Happening {
        let who = self.dice.random_range(0..PEOPLE);
        let rev = self.rev();
        let time = rev.time().to_string();
        let uri = Collection::Profile.uri(&did(who), Tid::ZERO);
        let (event_type, payload) = match self.dice.random_range(0..10) {
            0..6 => {
                let active = self.dice.random_ratio(2, 3);
                let status = if active { Value::Null } else { "deactivated".into() };
                let event_type = EventType::AccountUpdated;
                (event_type, json!({"active": active, "status": status, "time": time}))
            }
            6..8 => {
                let record = json!({
                    "$type": Collection::Profile.nsid(),
                    "displayName": format!("Number {who}, {rev}"),
                    "entityType": "person",
                    "createdAt": format_datetime(self.start),
                });
                let event_type = EventType::ProfileUpdated;
                (event_type, json!({"uri": uri, "rev": rev.to_string(), "record": record}))
            }
            8 => (EventType::ProfileDeleted, json!({"uri": uri, "rev": rev.to_string()})),
            _ => {
                let handle = format!("h{who}-{}.example.com", self.pick(&[1, 2, 3]));
                (EventType::IdentityUpdated, json!({"handle": handle, "time": time}))
            }
        };
        Happening { event_type, did: did(who), payload, names: [did(who)].into() }
    }

    fn next(&mut self) -> Happening {
        let next = match self.dice.random_range(0..20) {
            0..9 => None,
            9..15 => self.says(),
            15..18 => self.takes_back(),
            _ => Some(self.of_a_person()),
        };
        next.unwrap_or_else(|| self.states())
    }
}

fn neighbours_questions(of: &str) -> Vec<NeighboursQuestion> {
    let all = NeighboursQuestion {
        of: of.to_owned(),
        min_strength: 0.0,
        kinds: None,
        limit: 100,
        after: None,
        refresh: false,
    };
    vec![
        NeighboursQuestion { min_strength: 0.5, limit: 2, ..all.clone() },
        NeighboursQuestion { kinds: Some(vec!["professional".into()]), ..all.clone() },
        NeighboursQuestion { after: Some((0.5, Did::parse(&did(3)).unwrap())), ..all.clone() },
        all,
    ]
}

fn path_question(from: usize, to: usize) -> PathQuestion {
    PathQuestion {
        from: did(from),
        to: did(to),
        max_hops: None,
        min_strength: Some(0.2),
        kinds: None,
        exclude: Vec::new(),
        algorithm: Algorithm::Strongest,
        k: 2,
        refresh: false,
    }
}

/// Everything that is told of a person and must not lag.
async fn of_person(answers: &Answers, who: &str) -> Vec<String> {
    let mut told = Vec::new();
    for question in neighbours_questions(who) {
        told.push(format!("{:?}", answers.neighbours(question).await));
    }
    let scores = answers.trust_metrics(who, false).await;
    let direct = scores.map(|(did, answer)| {
        (did, TrustMetrics { trust_score: 0.0, network: 0.0, ..answer.metrics })
    });
    told.push(format!("{direct:?}"));
    told.push(format!("{:?}", answers.entity(who, false).await));
    told
}

/// What is told of a record, to everybody and to each of some.
async fn of_record(answers: &Answers, uri: &str) -> Vec<String> {
    let mut told = vec![format!("{:?}", answers.conviction(uri, None, false).await)];
    for n in 0..3 {
        let viewer = answers.node.graph.find(&did(n));
        told.push(format!("{n}: {:?}", answers.conviction(uri, viewer, false).await));
    }
    told
}

/// What is wrong with a path from the cache. (That there is a better one by now is not, nor one
/// where there was none.)
async fn wrong_path(kept: &Answers, fresh: &Answers, question: PathQuestion) -> Option<String> {
    let Ok(old) = kept.paths(question.clone()).await else { return None };
    let new = match fresh.paths(question.clone()).await {
        Ok(new) => new,
        Err(error) => return Some(format!("{old:?} is served, and there is {error:?}")),
    };
    let worse = new.paths[0].total_strength < old.paths[0].total_strength - 1e-9;
    if worse {
        return Some(format!("{old:?} is served, and the best is {new:?}"));
    }
    // Each hop as it is asked for alone.
    for hop in old.paths.iter().flat_map(|p| &p.hops) {
        let one = PathQuestion {
            from: hop.from.clone(),
            to: hop.to.clone(),
            max_hops: Some(1),
            k: 1,
            ..question.clone()
        };
        let now = fresh.paths(one).await.ok().map(|p| p.paths[0].hops[0].clone());
        if now.as_ref().map(|h| (&h.relationship_uri, h.strength))
            != Some((&hop.relationship_uri, hop.strength))
        {
            return Some(format!("the hop {hop:?} is {now:?} by now"));
        }
    }
    None
}

/// The first difference between what is kept and what is.
async fn difference(kept: &Answers, fresh: &Answers, world: &World) -> Option<String> {
    for n in 0..PEOPLE {
        let (old, new) = (of_person(kept, &did(n)).await, of_person(fresh, &did(n)).await);
        if let Some((old, new)) = old.iter().zip(&new).find(|(old, new)| old != new) {
            return Some(format!("{}: {old}\nand it is {new}", did(n)));
        }
    }
    let uris: BTreeSet<&String> = world.stated.iter().map(|(uri, ..)| uri).collect();
    for uri in uris {
        let (old, new) = (of_record(kept, uri).await, of_record(fresh, uri).await);
        if old != new {
            return Some(format!("{uri}: {old:?}\nand it is {new:?}"));
        }
    }
    for (from, to) in [(0, 1), (0, 5), (2, 7), (3, 4), (6, 1)] {
        let wrong = wrong_path(kept, fresh, path_question(from, to)).await;
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

/// Which targets of an invalidation are left out, given whom the event names.
type LeftOut = fn(&Target, &BTreeSet<String>) -> bool;

/// Lets a world happen; answers with the first difference, and the hits of each namespace.
async fn run(seed: u64, events: usize, left_out: LeftOut) -> (Option<String>, Vec<(String, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let config = survey(Sources {
        directory: folder.path().to_owned(),
        environment: vec![("DATA_DIR".into(), folder.path().join("data").into())],
        ..Sources::default()
    });
    let names = Arc::new(Mutex::new(BTreeSet::new()));
    let teller = {
        let names = Arc::clone(&names);
        |cache: CacheService| {
            move |what: &Invalidation| {
                let mut what = what.clone();
                what.targets.retain(|target| !left_out(target, &names.lock()));
                cache.invalidate(&what);
            }
        }
    };
    let node = Node::open_telling(config.into_config().ok().unwrap(), teller).await.ok().unwrap();
    node.pipeline.start();
    let kept = Answers::new(node.clone());
    let nothing = CacheService::memory(
        CacheConfig::default(),
        Arc::new(SystemClock::default()),
        Arc::new(SystemEntropy),
    );
    let nothing = nothing.unwrap();
    nothing.close().await;
    let mut uncached = node.clone();
    uncached.cache = nothing;
    let fresh = Answers::new(uncached);

    // Others ask all the time, so that computations are under way when something happens.
    let over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (kept, over) = (kept.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                for n in 0..PEOPLE {
                    of_person(&kept, &did(n)).await;
                    let _ = kept.paths(path_question(n, (n + 1) % PEOPLE)).await;
                }
            }
        })
    };
    let mut world = World::new(seed);
    let mut found = None;
    for n in 0..events {
        let what = world.next();
        *names.lock() = what.names;
        let submission = Submission {
            event_type: what.event_type,
            did: Did::parse(&what.did).unwrap(),
            payload: to_raw_value(&what.payload).unwrap(),
            priority: None,
            event_id: None,
        };
        let (_, ended) = node.pipeline.submit_and_wait(submission, Duration::MAX).await.unwrap();
        assert!(matches!(ended, Some(Ended::Applied)), "{ended:?}: {}", what.payload);
        if let Some(difference) = difference(&kept, &fresh, &world).await {
            let event = (what.event_type, what.payload.to_string());
            found = Some(format!("seed {seed}, event {n} {event:?}\n{difference}"));
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    let stats = node.cache.stats().overall;
    let hits = stats.namespaces.iter().map(|(name, c)| (name.clone(), c.hits)).collect();
    node.stop().await;
    (found, hits)
}

const NOTHING: LeftOut = |_, _| false;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_event_what_is_kept_is_what_is() {
    for seed in [1, 2] {
        let (difference, hits) = run(seed, 200, NOTHING).await;
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
        for name in ["graph:path", "graph:neighbors", "trust:score", "conviction", "entity"] {
            let of = hits.iter().find(|(n, _)| n == name).map_or(0, |(_, hits)| *hits);
            assert!(of > 500, "{name} was asked in vain: {hits:?}");
        }
    }
}

/// A tag that is left out is found: otherwise the test above would say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_is_left_out_is_found() {
    fn tag(target: &Target) -> &str {
        match target {
            Target::Tag(tag) => tag,
            _ => "",
        }
    }
    let mutants: [(&str, LeftOut); 4] = [
        ("a person's", |t, _| tag(t).starts_with("did:")),
        ("of whom the event does not name", |t, names| {
            tag(t).starts_with("did:") && !names.contains(tag(t))
        }),
        ("a conviction's", |t, _| tag(t).starts_with("at://")),
        ("of what is attested", |t, _| tag(t).starts_with("attested:")),
    ];
    for (name, left_out) in mutants {
        let mut found = None;
        for seed in 1..=4 {
            found = run(seed, 250, left_out).await.0;
            if found.is_some() {
                break;
            }
        }
        assert!(found.is_some(), "leaving out the tag {name} is not found");
    }
}

#[tokio::test]
async fn unknown_ones_are_unknown_without_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let config = survey(Sources {
        directory: folder.path().to_owned(),
        environment: vec![("DATA_DIR".into(), folder.path().join("data").into())],
        ..Sources::default()
    });
    let node = Node::open(config.into_config().ok().unwrap()).await.ok().unwrap();
    let answers = Answers::new(node.clone());
    for _ in 0..2 {
        let unknown = answers.trust_metrics(&did(1), false).await;
        assert!(matches!(unknown, Err(NoAnswer::UnknownEntity(_))));
        let unknown = answers.entity(&did(1), false).await;
        assert!(matches!(unknown, Err(NoAnswer::UnknownEntity(_))));
    }
    assert_eq!(node.cache.stats().overall.total.misses, 0);
    node.stop().await;
}

/// Between the graph's version and the cache's, answers from the cache are of the earlier one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_of_a_change_only_when_the_cache_has_been_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = survey(Sources {
        directory: folder.path().to_owned(),
        environment: vec![("DATA_DIR".into(), folder.path().join("data").into())],
        ..Sources::default()
    });
    let (may_tell, wait) = std::sync::mpsc::channel::<()>();
    let teller = |cache: CacheService| {
        move |what: &Invalidation| {
            wait.recv().unwrap();
            cache.invalidate(what);
        }
    };
    let node = Node::open_telling(config.into_config().ok().unwrap(), teller).await.ok().unwrap();
    node.pipeline.start();
    let answers = Answers::new(node.clone());
    let before = answers.as_of().version;
    let what = World::new(1).states();
    let submission = Submission {
        event_type: what.event_type,
        did: Did::parse(&what.did).unwrap(),
        payload: to_raw_value(&what.payload).unwrap(),
        priority: None,
        event_id: None,
    };
    let applied = tokio::spawn({
        let node = node.clone();
        async move { node.pipeline.submit_and_wait(submission, Duration::MAX).await }
    });
    let in_the_graph = async {
        while node.graph.version() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), in_the_graph).await.unwrap();
    assert_eq!(answers.as_of().version, before);
    may_tell.send(()).unwrap();
    applied.await.unwrap().unwrap();
    assert_eq!(answers.as_of().version, node.graph.version());
    drop(may_tell);
    node.stop().await;
}
