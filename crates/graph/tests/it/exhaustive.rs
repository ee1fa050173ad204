//! Small random worlds: every answer against the slow reading of the rules and, for paths,
//! against all paths there are.
//!
//! `RHIZ_GRAPH_WORLDS` says how many (in the long run 100,000).

use crate::naive::Naive;
use crate::world::{Dice, World, states};
use rhiz_domain::fact::EntityId;
use rhiz_graph::{Algorithm, Graph, NeighbourQuery, PathError, PathQuery};

fn worlds(short: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is no configuration")]
    std::env::var("RHIZ_GRAPH_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(short)
}

pub(crate) fn random_query(dice: &mut Dice, people: u32) -> PathQuery {
    let mut id = || EntityId(1 + dice.below(people as usize) as u32);
    let (from, mut to) = (id(), id());
    if from == to {
        to = EntityId(from.0 % people + 1);
    }
    let mut q = PathQuery::new(from, to);
    q.max_hops = 1 + dice.below(10) as u8;
    if dice.chance(60) {
        q.max_hops = 2 + dice.below(3) as u8;
    }
    q.min_strength = dice.pick(&[0.0, 0.0, 0.3, 0.5, 0.7, 0.81, 1.0]);
    let kinds = ["professional", "personal", "family", "odd", "bowling", "unheard of"];
    if dice.chance(35) {
        let asked = (0..1 + dice.below(3)).map(|_| dice.pick(&kinds).to_owned());
        q.kinds = Some(asked.collect());
    }
    if dice.chance(30) {
        let out = (0..1 + dice.below(2)).map(|_| EntityId(1 + dice.below(people as usize) as u32));
        q.exclude = out.collect();
    }
    if dice.chance(35) {
        q.algorithm = Algorithm::Shortest;
    }
    q.k = dice.pick(&[1, 1, 5, 5, 2, 10]);
    q
}

pub(crate) fn check_paths(graph: &Graph, naive: &Naive<'_>, q: &PathQuery, seed: u64) {
    let answer = graph.find_paths(q, &mut || true);
    for id in [q.from, q.to] {
        if !naive.exists(id) {
            assert!(matches!(answer, Err(PathError::UnknownEntity(_))), "world {seed}: {q:?}");
            return;
        }
    }
    let answer = answer.unwrap();
    let all = naive.paths(q);
    let context = || format!("world {seed}: {q:?}\nfound {answer:#?}\nof {:#?}", all.get(..q.k));
    assert_eq!(answer.len(), all.len().min(q.k), "{}", context());
    for (path, expected) in answer.iter().zip(&all) {
        assert_eq!(path.hops.len(), expected.len(), "{}", context());
        let mut at = q.from;
        let mut product = 1.0;
        for (hop, (next, edge)) in path.hops.iter().zip(expected) {
            assert_eq!((hop.from, hop.to, hop.key), (at, *next, edge.key), "{}", context());
            assert_eq!((hop.strength, &*hop.kind), (edge.strength, &*edge.kind));
            assert!((hop.trust - edge.trust).abs() < 2e-12, "{}", context());
            at = *next;
            product *= edge.trust;
        }
        assert!((path.total_strength - product).abs() < 1e-9, "{}", context());
    }
    if answer.is_empty() {
        check_relax(graph, naive, q);
    }
}

/// What is said to help does help.
fn check_relax(graph: &Graph, naive: &Naive<'_>, q: &PathQuery) {
    let relax = graph.relax(q, &mut || true);
    let mut longer = PathQuery { max_hops: 10, ..q.clone() };
    assert_eq!(relax.max_hops.is_some(), !naive.paths(&longer).is_empty() && q.max_hops < 10);
    if let Some(hops) = relax.max_hops {
        longer.max_hops = hops;
        assert!(hops > q.max_hops && !naive.paths(&longer).is_empty());
        longer.max_hops = hops - 1;
        assert!(naive.paths(&longer).is_empty());
    }
    let mut weaker = PathQuery { min_strength: 0.0, ..q.clone() };
    assert_eq!(relax.min_strength.is_some(), !naive.paths(&weaker).is_empty());
    if let Some(strength) = relax.min_strength {
        weaker.min_strength = strength;
        assert!(strength < q.min_strength && !naive.paths(&weaker).is_empty());
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn check_scores(graph: &Graph, naive: &Naive<'_>, seed: u64) {
    for r in &naive.0.relationships {
        let Some(view) = graph.relationship(r.key) else {
            assert!(!naive.0.entities.iter().any(|e| e.id == r.key.owner && e.active));
            continue;
        };
        assert_eq!(view.fact, *r, "world {seed}");
        assert_eq!(view.refused, naive.refused(r), "world {seed}: {r:?}");
        assert_eq!(view.counted, naive.counted(r), "world {seed}: {r:?}");
        let mutual = naive.counted(r) && naive.mutual(r.key.owner, r.subject);
        assert_eq!(view.mutual, mutual, "world {seed}: {r:?}");
        assert!((view.trust - naive.trust(r)).abs() < 2e-12, "world {seed}: {r:?} {view:?}");
        let (conviction, count) = naive.conviction(r);
        assert!(near(view.conviction.exact, conviction), "world {seed}: {r:?}");
        assert_eq!(view.conviction.attestation_count as usize, count);
        assert_eq!(view.backing.is_some(), naive.backing(r).is_some());
        assert!(near(view.backing.unwrap_or(0.0), naive.backing(r).unwrap_or(0.0)));
    }
    let all = graph.all_trust_metrics();
    for e in &naive.0.entities {
        assert_eq!(graph.exists(e.id), naive.exists(e.id), "world {seed}: {e:?}");
        let Some(m) = graph.trust_metrics(e.id) else { continue };
        assert!(all.contains(&(e.id, m)), "world {seed}: one and all differ");
        let n = naive.scores(e.id);
        let pairs = [
            (m.reputation, n.reputation),
            (m.reciprocity, n.reciprocity),
            (m.consistency, n.consistency),
            (m.standing, n.standing),
            (m.verification_ratio, n.ratio),
            (m.network, n.network),
            (m.trust_score, n.score),
        ];
        for (i, (a, b)) in pairs.into_iter().enumerate() {
            assert!(near(a, b), "world {seed}: {e:?}, score {i}: {a} instead of {b}");
        }
        assert_eq!(m.relationship_count, n.relationships);
        assert_eq!(m.verified_relationship_count, n.verified);
        let explained = graph.explain(e.id, None, usize::MAX).unwrap();
        assert_eq!(explained.metrics, m);
        let sum: f64 = explained.addends.iter().map(|a| a.contribution).sum();
        assert!(near(sum, m.trust_score));
        let reputation: f64 = explained.movers.iter().filter_map(|m| m.received_strength).sum();
        assert!(near(
            (reputation + 2.5) / (f64::from(explained.received_from) + 5.0),
            n.reputation
        ));
    }
    assert_eq!(all.len(), naive.0.entities.iter().filter(|e| naive.exists(e.id)).count());
    assert_eq!(graph.stats().total_entities, all.len());
}

fn check_neighbours(graph: &Graph, naive: &Naive<'_>, dice: &mut Dice) {
    let q = random_query(dice, naive.0.entities.len() as u32);
    let mut query = NeighbourQuery {
        min_strength: q.min_strength,
        kinds: q.kinds.clone(),
        limit: usize::MAX,
        after: None,
    };
    let whole = graph.neighbours(q.from, &query).map(|page| page.list);
    assert_eq!(whole.is_some(), naive.exists(q.from));
    let Some(whole) = whole else { return };
    let ids = naive.0.entities.iter().filter(|e| e.id != q.from);
    let mut expected: Vec<_> =
        ids.filter_map(|e| Some((e, naive.edge(q.from, e.id, &q)?))).collect();
    expected.sort_by(|(d, a), (e, b)| b.trust.total_cmp(&a.trust).then(d.did.cmp(&e.did)));
    assert_eq!(
        whole.iter().map(|n| (n.id, n.key, n.strength)).collect::<Vec<_>>(),
        expected.iter().map(|(e, x)| (e.id, x.key, x.strength)).collect::<Vec<_>>()
    );
    for n in &whole {
        assert_eq!(n.mutual, naive.mutual(q.from, n.id));
    }
    // Page by page is the same as at once.
    query.limit = 1 + dice.below(3);
    let mut paged = Vec::new();
    loop {
        let page = graph.neighbours(q.from, &query).unwrap();
        let last = page.list.last().map(|n| (n.trust, n.did.clone()));
        paged.extend(page.list);
        assert!(page.next.is_none() || page.next == last);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
}

#[test]
fn every_answer_is_that_of_exhaustive_search() {
    for seed in 0..worlds(1_500) as u64 {
        let mut dice = Dice(seed);
        let world = World::random(&mut dice);
        let (graph, naive) = (world.graph(), Naive(&world));
        for _ in 0..3 {
            let q = random_query(&mut dice, world.entities.len() as u32);
            check_paths(&graph, &naive, &q, seed);
            check_paths(&graph, &naive, &PathQuery { k: 5, ..q }, seed);
        }
        check_neighbours(&graph, &naive, &mut dice);
        if seed % 4 == 0 {
            check_scores(&graph, &naive, seed);
        }
    }
}

/// People in layers, everyone tied to most of the next layer and to some of their own: many ways
/// as good as one another lead to one place, and some of the best walks come to one twice.
fn layered(dice: &mut Dice) -> World {
    let people = 6 + dice.below(6) as u32;
    let layers = 3 + dice.below(3);
    let layer: Vec<usize> = (0..people).map(|_| dice.below(layers)).collect();
    let some: [&[u8]; 4] = [&[100], &[90, 100], &[50, 80, 100], &[60, 63, 70, 77, 84, 90, 99]];
    let strengths = dice.pick(&some);
    let (next, own) = (dice.pick(&[70, 100]), dice.pick(&[0, 20, 60]));
    let mutual = dice.pick(&[0, 50, 100]);
    let mut relationships = Vec::new();
    for a in 1..=people {
        for b in a + 1..=people {
            let apart = layer[a as usize - 1].abs_diff(layer[b as usize - 1]);
            if apart > 1 || !dice.chance(if apart == 1 { next } else { own }) {
                continue;
            }
            let n = relationships.len() as u64 + 1;
            let strength = dice.pick(strengths);
            let (x, y) = if dice.chance(50) { (a, b) } else { (b, a) };
            relationships.push(states(x, y, 500 - n, strength));
            if dice.chance(mutual) {
                relationships.push(states(y, x, 500 + n, strength));
            }
        }
    }
    World::of(people, relationships, Vec::new())
}

/// A few places in a row, each tied to the next by several ways of one to three hops: what is
/// better for a while may be too long in the end.
fn bundles(dice: &mut Dice) -> World {
    let places = 3 + dice.below(2) as u32;
    let mut people = places;
    let some: [&[u8]; 3] = [&[90, 100], &[30, 60, 90], &[20, 40, 60, 63, 70, 77, 84, 90, 99]];
    let strengths = dice.pick(&some);
    let mut relationships = Vec::new();
    for place in 1..places {
        for _ in 0..3 + dice.below(4) {
            let mut stops = vec![place];
            for _ in 0..dice.pick(&[1, 1, 1, 2]) {
                people += 1;
                stops.push(people);
            }
            stops.push(place + 1);
            for hop in stops.windows(2) {
                let n = 1 + dice.below(1 << 20) as u64 * 64 + relationships.len() as u64 % 64;
                relationships.push(states(hop[0], hop[1], n, dice.pick(strengths)));
            }
        }
        if dice.chance(60) {
            let n = 1 + dice.below(1 << 20) as u64 * 64 + relationships.len() as u64 % 64;
            relationships.push(states(place, place + 1, n, dice.pick(&[5, 10, 30])));
        }
    }
    World::of(people, relationships, Vec::new())
}

#[test]
fn many_ways_to_one_place_are_told_apart() {
    for seed in 0..worlds(1_500) as u64 / 3 {
        let mut dice = Dice(!seed);
        let row = dice.chance(50);
        let world = if row { bundles(&mut dice) } else { layered(&mut dice) };
        let (graph, naive) = (world.graph(), Naive(&world));
        let people = world.entities.len() as u32;
        for k in [2, 3, 5, 10] {
            let q = random_query(&mut dice, people);
            let max_hops = 2 + dice.below(5) as u8;
            let mut q = PathQuery { k, max_hops, min_strength: 0.0, kinds: None, ..q };
            if row && dice.chance(80) {
                (q.from, q.to) = (EntityId(1), EntityId(3));
            }
            check_paths(&graph, &naive, &q, seed);
        }
    }
}
