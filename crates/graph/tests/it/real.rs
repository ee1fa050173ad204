//! Real networks against layered Bellman–Ford: for every number of hops the cheapest way, from
//! which the best and the five best follow without any cleverness.

use crate::networks::{Network, TODAY, epinions, otc};
use rhiz_domain::fact::EntityId;
use rhiz_graph::{Algorithm, Graph, Path, PathQuery};
use std::collections::HashMap;

const NEVER: u64 = u64::MAX / 2;

/// Neighbours with the cost of the edge, worked out from the statements alone.
struct Plain {
    edges: Vec<Vec<(u32, u64)>>,
}

/// What is asked for besides two ends.
struct Asked<'a> {
    max_hops: usize,
    /// 0–100.
    min_strength: u8,
    exclude: &'a [EntityId],
}

impl Plain {
    fn new(network: &Network, asked: &Asked<'_>) -> Self {
        // Each side's best s·d, and its s.
        let mut sides: HashMap<(u32, u32), [(f64, u8); 2]> = HashMap::new();
        for &(owner, subject, strength, time) in &network.statements {
            let days = f64::from(TODAY) - time.div_euclid(86_400) as f64;
            let fresh = (-days.max(0.0) / 365.25).exp().max(0.1);
            let pair = (owner.min(subject), owner.max(subject));
            let side = sides.entry(pair).or_insert([(-1.0, 0); 2]);
            let side = &mut side[usize::from(owner == pair.1)];
            let new = (f64::from(strength) / 100.0 * fresh, strength);
            if new > *side {
                *side = new;
            }
        }
        let mut edges = vec![Vec::new(); network.people as usize + 1];
        for ((a, b), [x, y]) in sides {
            let out = |id: u32| asked.exclude.contains(&EntityId(id));
            let weaker = if x < y { x } else { y };
            let stronger = if x < y { y } else { x };
            let mutual = weaker.0 >= 0.0;
            let (t, s) = if mutual { weaker } else { (0.8 * stronger.0, stronger.1) };
            let t = (t * 1e12).round() / 1e12;
            if t > 0.0 && s >= asked.min_strength && !out(a) && !out(b) {
                let cost = (-t.ln() * f64::from(1 << 20)).round() as u64;
                edges[a as usize].push((b, cost));
                edges[b as usize].push((a, cost));
            }
        }
        Self { edges }
    }

    /// `cost[hops][x]`: the cheapest way from `to` to x over exactly so many edges.
    fn layers(&self, to: u32, max_hops: usize) -> Vec<Vec<u64>> {
        let mut layers = vec![vec![NEVER; self.edges.len()]; max_hops + 1];
        layers[0][to as usize] = 0;
        for hops in 1..=max_hops {
            let (before, now) = layers.split_at_mut(hops);
            for (x, &cost) in before[hops - 1].iter().enumerate() {
                if cost != NEVER {
                    for &(y, more) in &self.edges[x] {
                        let place = &mut now[0][y as usize];
                        *place = (*place).min(cost + more);
                    }
                }
            }
        }
        layers
    }

    /// Keys (as cost and hops, in the order asked for) of all loopless ways of at most `worst`.
    fn ways(
        &self,
        layers: &[Vec<u64>],
        path: &mut Vec<u32>,
        spent: u64,
        worst: (u64, u64),
        found: &mut Vec<(u64, u64)>,
    ) {
        let (at, hops) = (path[path.len() - 1], path.len() - 1);
        if layers[0][at as usize] == 0 {
            found.push((spent, hops as u64));
            return;
        }
        for &(next, more) in &self.edges[at as usize] {
            if path.contains(&next) {
                continue;
            }
            let left = &layers[..layers.len() - hops - 1];
            let can = left.iter().enumerate().any(|(rest, costs)| {
                (spent + more + costs[next as usize], (hops + 1 + rest) as u64) <= worst
            });
            if can {
                path.push(next);
                self.ways(layers, path, spent + more, worst, found);
                path.pop();
            }
        }
    }
}

fn key(path: &Path) -> (u64, u64) {
    let cost = path.hops.iter().map(|h| (-h.trust.ln() * f64::from(1 << 20)).round() as u64).sum();
    (cost, path.hops.len() as u64)
}

fn check(network: &Network, targets: usize, sources: usize) {
    let graph = network.graph_of(network.relationships());
    let with_path = compare(
        &graph,
        network,
        &Asked { max_hops: 6, min_strength: 0, exclude: &[] },
        (targets, sources),
    );
    assert!(with_path > targets * sources / 3, "too few of the pairs have a path at all");
    // Hubs, so that it makes a difference.
    let mut degrees: HashMap<u32, usize> = HashMap::new();
    for &(a, b, ..) in &network.statements {
        *degrees.entry(a).or_default() += 1;
        *degrees.entry(b).or_default() += 1;
    }
    let mut hubs: Vec<(usize, u32)> =
        degrees.into_iter().map(|(id, degree)| (degree, id)).collect();
    hubs.sort_unstable();
    let hubs: Vec<EntityId> = hubs.iter().rev().take(20).map(|&(_, id)| EntityId(id)).collect();
    let less = (targets.div_ceil(2), sources);
    for (max_hops, min_strength, exclude) in [(3, 0, &[][..]), (5, 50, &[]), (6, 30, &hubs[..])] {
        compare(&graph, network, &Asked { max_hops, min_strength, exclude }, less);
    }
}

/// Compares every answer; tells how many pairs have a path.
fn compare(
    graph: &Graph,
    network: &Network,
    asked: &Asked<'_>,
    (targets, sources): (usize, usize),
) -> usize {
    let plain = Plain::new(network, asked);
    let max_hops = asked.max_hops;
    let ask = |from, to, algorithm, k| {
        let query = PathQuery {
            min_strength: f64::from(asked.min_strength) / 100.0,
            max_hops: max_hops as u8,
            exclude: asked.exclude.to_vec(),
            algorithm,
            k,
            ..PathQuery::new(EntityId(from), to)
        };
        graph.find_paths(&query, &mut || true).unwrap()
    };
    let ends = network.pairs(targets, 11);
    let starts = network.pairs(sources, 12);
    let (mut with_path, mut several) = (0, 0);
    for &(to, _) in &ends {
        let layers = plain.layers(to.0, max_hops);
        for &(from, _) in starts.iter().filter(|(from, _)| *from != to) {
            let cheapest = (1..=max_hops).map(|h| (layers[h][from.0 as usize], h as u64)).min();
            let expected = cheapest.filter(|(cost, _)| *cost < NEVER);
            let found = ask(from.0, to, Algorithm::Strongest, 1);
            assert_eq!(found.first().map(key), expected, "{from:?} to {to:?}");
            let fewest = (1..=max_hops).find(|&h| layers[h][from.0 as usize] < NEVER);
            let short = ask(from.0, to, Algorithm::Shortest, 1);
            let expected = fewest.map(|h| (layers[h][from.0 as usize], h as u64));
            assert_eq!(short.first().map(key), expected, "{from:?} to {to:?}");
            with_path += usize::from(!found.is_empty());
            if several < targets && !found.is_empty() {
                several += 1;
                let five = ask(from.0, to, Algorithm::Strongest, 5);
                assert_eq!(five[0], found[0]);
                let worst = key(&five[five.len() - 1]);
                let mut all = Vec::new();
                plain.ways(&layers, &mut vec![from.0], 0, worst, &mut all);
                all.sort_unstable();
                all.truncate(5);
                assert_eq!(five.iter().map(key).collect::<Vec<_>>(), all, "{from:?} to {to:?}");
            }
        }
    }
    with_path
}

#[test]
fn bitcoin_otc_as_layered_bellman_ford_has_it() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: paths were not compared with layered Bellman-Ford");
    };
    check(&network, 25, 60);
}

#[test]
fn epinions_as_layered_bellman_ford_has_it() {
    let Some(network) = epinions() else {
        return skipped("Epinions: paths were not compared with layered Bellman-Ford");
    };
    check(&network, 4, 60);
}

#[expect(clippy::print_stderr, reason = "what was not checked is said plainly")]
pub(crate) fn skipped(what: &str) {
    eprintln!("the data is not there ({what})");
}

/// Readers get whole answers while everything is torn down and built up again.
#[test]
fn questions_while_everything_changes() {
    use rhiz_domain::fact::{Change, ChangeSet};
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut network = crate::networks::power_law(3_000);
    network.statements.truncate(3_000);
    let graph: Graph = network.graph_of(network.relationships());
    let before = graph.digest();
    let pairs = network.pairs(200, 5);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) || asked < 200 {
                let (from, to) = pairs[asked % pairs.len()];
                let query = PathQuery { min_strength: 0.0, k: 3, ..PathQuery::new(from, to) };
                if let Ok(paths) = graph.find_paths(&query, &mut || true) {
                    for path in paths {
                        assert_eq!(path.hops[0].from, from);
                        assert_eq!(path.hops[path.hops.len() - 1].to, to);
                        assert!(path.hops.windows(2).all(|h| h[0].to == h[1].from));
                        assert!(
                            path.hops.iter().all(|h| h.key.owner == h.from || h.key.owner == h.to)
                        );
                    }
                }
                std::hint::black_box(graph.trust_metrics(from));
                asked += 1;
            }
        });
        let mut seq = 0;
        for round in 0..2 {
            for n in 0..network.statements.len() {
                let fact = network.relationship(n);
                let change = if round == 0 {
                    Change::RelationshipGone(fact.key)
                } else {
                    Change::Relationship(fact)
                };
                seq += 1;
                graph.apply(&ChangeSet { seq, changes: vec![change] });
            }
            if round == 0 {
                assert_eq!(graph.stats().total_relationships, 0);
            }
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(graph.digest(), before);
    assert_eq!(graph.audit(), Vec::<String>::new());
}
