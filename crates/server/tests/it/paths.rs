//! Paths between traders of Bitcoin OTC over HTTP, against a search of another kind: layer by
//! layer over every edge (Bellman–Ford), written from the definition and the raw ratings alone.

use crate::{
    http::Client,
    import::reference,
    otc::{self, Rating},
    server::{KEY, Server, rhiz},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rhiz_domain::fact::Day;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The edge of a pair, as the pair's statements make it.
#[derive(Debug, Clone, Copy)]
struct Edge<'a> {
    t: f64,
    s: u8,
    uri: &'a str,
}

impl Edge<'_> {
    /// Comparable to 12 decimals; then the strength; then the URI. The least is the weaker.
    fn weakness(&self) -> (i64, u8, &str) {
        ((self.t * 1e12).round() as i64, self.s, self.uri)
    }

    /// −ln t · 2^20, rounded.
    fn cost(&self) -> u64 {
        (-self.t.ln() * f64::from(1 << 20)).round() as u64
    }
}

/// Everybody's edges. Nobody attests here: t = s·d·m.
struct Network<'a> {
    people: Vec<&'a str>,
    number: HashMap<&'a str, usize>,
    edges: Vec<BTreeMap<usize, Edge<'a>>>,
}

impl<'a> Network<'a> {
    fn new(ratings: &'a [Rating], today: Day) -> Self {
        let mut network = Self { people: Vec::new(), number: HashMap::new(), edges: Vec::new() };
        let statements: HashMap<(&str, &str), &Rating> =
            ratings.iter().map(|r| ((&*r.source, &*r.target), r)).collect();
        assert_eq!(statements.len(), ratings.len(), "each rates another once");
        for rating in ratings {
            let other = statements.get(&(&*rating.target, &*rating.source));
            let m = if other.is_some() { 1.0 } else { 0.8 };
            let edge = |r: &'a Rating| {
                let days = f64::from((today - r.day).max(0));
                let d = (-days / 365.25).exp().max(0.1);
                Edge { t: f64::from(r.strength) / 100.0 * d * m, s: r.strength, uri: &r.uri }
            };
            let own = edge(rating);
            let edge = match other {
                Some(other) if edge(other).weakness() < own.weakness() => edge(other),
                _ => own,
            };
            let (a, b) = (network.add(&rating.source), network.add(&rating.target));
            network.edges[a].insert(b, edge);
            network.edges[b].insert(a, edge);
        }
        network
    }

    fn add(&mut self, did: &'a str) -> usize {
        *self.number.entry(did).or_insert_with(|| {
            self.people.push(did);
            self.edges.push(BTreeMap::new());
            self.people.len() - 1
        })
    }

    /// The best path: URIs of its hops and the product of their t.
    fn best(&self, question: &Question) -> Option<(Vec<&'a str>, f64)> {
        let (from, to) = (self.number[question.from], self.number[question.to]);
        let usable = |e: &Edge<'_>| f64::from(e.s) / 100.0 >= question.min_strength && e.t > 0.0;
        // Least cost from everyone to the end in exactly so many hops.
        let mut layers = vec![vec![None::<u64>; self.people.len()]];
        layers[0][to] = Some(0);
        for hops in 1..=question.max_hops {
            let mut next = vec![None; self.people.len()];
            for (a, edges) in self.edges.iter().enumerate() {
                next[a] = edges
                    .iter()
                    .filter(|(_, e)| usable(e))
                    .filter_map(|(b, e)| Some(layers[hops - 1][*b]? + e.cost()))
                    .min();
            }
            layers.push(next);
        }
        let found = (1..=question.max_hops).filter_map(|hops| Some((hops, layers[hops][from]?)));
        let (hops, _) = if question.shortest {
            found.min_by_key(|(hops, cost)| (*hops, *cost))?
        } else {
            found.min_by_key(|(hops, cost)| (*cost, *hops))?
        };
        // Forward again: of hops that keep the cost, the one with the smallest URI.
        let (mut at, mut uris, mut product) = (from, Vec::new(), 1.0);
        for left in (1..=hops).rev() {
            let keeps = |(b, e): &(&usize, &Edge<'_>)| {
                usable(e)
                    && layers[left - 1][**b].is_some_and(|c| Some(c + e.cost()) == layers[left][at])
            };
            let (next, edge) =
                self.edges[at].iter().filter(keeps).min_by_key(|(_, e)| e.uri).unwrap();
            uris.push(edge.uri);
            product *= edge.t;
            at = *next;
        }
        Some((uris, product))
    }
}

#[derive(Debug)]
struct Question<'a> {
    from: &'a str,
    to: &'a str,
    max_hops: usize,
    min_strength: f64,
    shortest: bool,
}

impl Question<'_> {
    fn ask(&self, client: &Client) -> crate::http::Answer {
        let algorithm = if self.shortest { "shortest" } else { "strongest" };
        let mut body = json!({
            "from": self.from,
            "to": self.to,
            "max_hops": self.max_hops,
            "min_strength": self.min_strength,
            "algorithm": algorithm,
        });
        // What is the default need not be said.
        if !self.shortest && self.max_hops == 6 && self.min_strength == 0.5 {
            body = json!({"from": self.from, "to": self.to});
        }
        client.post("/api/v1/graph/find-path", &body)
    }
}

fn today(client: &Client) -> Day {
    client.get("/health/detailed").expect(200)["graph"]["as_of_day"].as_i64().unwrap() as Day
}

/// Asks and compares; answers whether there was a path.
fn check(network: &Network<'_>, client: &Client, question: &Question<'_>) -> bool {
    let answer = question.ask(client);
    let Some((uris, product)) = network.best(question) else {
        let problem = answer.expect(404);
        assert_eq!(problem["code"], "no_path", "{question:?}: {problem}");
        check_hints(network, question, &problem["relax"]);
        return false;
    };
    let answer = answer.expect(200);
    let hops = answer["hops"].as_array().unwrap();
    let total = answer["total_strength"].as_f64().unwrap();
    assert!((total - product).abs() < 1e-9, "{question:?}: {total} for {product}\n{answer}");
    let found: Vec<&str> = hops.iter().map(|h| h["relationship_id"].as_str().unwrap()).collect();
    assert_eq!(found, uris, "{question:?}: {answer}");
    assert_eq!(answer["distance"], uris.len());
    // It begins and ends where it was asked to, and hangs together.
    let mut at = question.from;
    for hop in hops {
        assert_eq!(hop["from"], at, "{answer}");
        at = hop["to"].as_str().unwrap();
    }
    assert_eq!(at, question.to, "{answer}");
    true
}

/// What the server says would help does help.
fn check_hints(network: &Network<'_>, question: &Question<'_>, relax: &Value) {
    if let Some(max_hops) = relax["max_hops"].as_u64() {
        let relaxed = Question { max_hops: max_hops as usize, ..*question };
        assert!(network.best(&relaxed).is_some(), "{question:?}: {relax}");
    }
    if let Some(min_strength) = relax["min_strength"].as_f64() {
        assert!(min_strength < question.min_strength, "{question:?}: {relax}");
        let relaxed = Question { min_strength, ..*question };
        assert!(network.best(&relaxed).is_some(), "{question:?}: {relax}");
    }
}

#[test]
fn the_answer_is_that_of_an_exhaustive_search() {
    let Some(otc) = otc::otc("paths on the Bitcoin OTC network") else { return };
    let (data, _) = reference(otc);
    let holder = crate::server::Data::new();
    let mut command = rhiz(&["serve", "--port", "0"], &[("PATHFINDING_TIMEOUT", "30000")]);
    command.arg("--data-dir").arg(data);
    let server = Server::start(&holder, command);
    let client = Client::new(server.address, Some(KEY));
    // The answers are of a day: should it end meanwhile, all of it is asked again.
    while !ask_all(&otc.ratings, &client) {}
}

fn ask_all(ratings: &[Rating], client: &Client) -> bool {
    let day = today(client);
    let network = Network::new(ratings, day);
    let mut random = StdRng::seed_from_u64(20_261_123);
    let mut pair = || {
        let two: Vec<_> = network.people.sample(&mut random, 2).copied().collect();
        (two[0], two[1])
    };
    let asked: Vec<_> = (0..200).map(|_| pair()).collect();
    let mut found = 0;
    for (i, (from, to)) in asked.into_iter().enumerate() {
        let usual = Question { from, to, max_hops: 6, min_strength: 0.5, shortest: false };
        let question = if i < 100 {
            usual
        } else {
            Question {
                max_hops: random.random_range(1..=10),
                min_strength: f64::from(random.random_range(0..=16)) / 20.0,
                shortest: i % 2 == 0,
                ..usual
            }
        };
        let there = check(&network, client, &question);
        if today(client) != day {
            return false;
        }
        found += usize::from(there);
    }
    // Or nothing was compared.
    assert!((100..200).contains(&found), "{found} of 200 have a path");
    true
}
