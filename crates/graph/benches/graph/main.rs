//! What the graph costs, single-threaded, against the targets of the specification.
//!
//! `cargo bench -p rhiz-graph -- [paths] [apply] [scores] [updates] [predict] [otc] [epinions] [1m] [10m]`
//! (everything but 10m without arguments). `emit=DIR` writes networks, pairs and our answers for
//! `benches/peers/graph`, and measures nothing else. `changes=N` makes N changes of each kind instead
//! of 5,000, long enough to look into what they do; `attestations=N` only loads, with that many.
#![expect(clippy::print_stdout, reason = "a table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod emit;
mod networks;

use networks::{Dice, Network, TODAY, entity};
use rhiz_domain::Tid;
use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Change, ChangeSet, EntityId, RecordKey, RelationshipFact,
};
use rhiz_graph::{Algorithm, Graph, PathQuery};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// As the server does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let emit = asked.iter().find_map(|a| a.strip_prefix("emit=")).map(str::to_owned);
    let changes = asked.iter().find_map(|a| a.strip_prefix("changes=")?.parse().ok());
    let attestations =
        asked.iter().find_map(|a| a.strip_prefix("attestations=")?.parse::<usize>().ok());
    let asked: Vec<String> = asked.into_iter().filter(|a| !a.contains('=')).collect();
    let wants = |what: &str| asked.is_empty() || asked.iter().any(|a| a == what);
    let sections = ["paths", "apply", "scores", "updates", "predict"];
    let any_section = !asked.iter().any(|a| sections.contains(&a.as_str()));
    let does = |section: &str| any_section || wants(section);
    let any_network = !asked.iter().any(|a| ["otc", "epinions", "1m", "10m"].contains(&a.as_str()));
    type Loader = fn() -> Option<Network>;
    let networks: [(&str, Loader, [u64; 2]); 4] = [
        ("otc", networks::otc, [60, 600]),
        ("epinions", networks::epinions, [200, 2_000]),
        ("1m", || Some(networks::power_law(1_000_000)), [400, 4_000]),
        ("10m", || Some(networks::power_law(10_000_000)), [2_500, 30_000]),
    ];
    for (name, load, targets) in networks {
        if !(wants(name) || (any_network && name != "10m")) {
            continue;
        }
        let Some(network) = load() else {
            println!("{name}: the data is not there, so nothing is measured on it");
            continue;
        };
        let facts: Vec<RelationshipFact> = network.relationships().collect();
        let start = Instant::now();
        let graph = network.graph_of(facts.into_iter());
        let loaded = start.elapsed();
        let memory = graph.memory();
        println!(
            "\n== {name}: {} people, {} edges; loaded in {loaded:.2?}; {:.1} bytes an edge \
             (facts {:.1}, scores {:.1})",
            network.people,
            memory.edges,
            memory.web as f64 / memory.edges as f64,
            memory.facts as f64 / memory.edges as f64,
            memory.derived as f64 / memory.edges as f64,
        );
        if let Some(count) = attestations {
            load_attested(&network, count);
            continue;
        }
        if let Some(dir) = &emit {
            let written = emit::emit(dir.as_ref(), name, &graph, &network);
            written.unwrap_or_else(|e| panic!("{dir}: {e}"));
            continue;
        }
        if does("paths") {
            paths(&graph, &network, targets);
        }
        if does("scores") {
            scores(&graph, &network);
        }
        if does("predict") && name == "otc" {
            predict(&network);
        }
        if does("apply") {
            apply(&graph, &network, changes.unwrap_or(5_000));
        }
        if does("updates") {
            updates(&graph, &network);
        }
    }
}

/// What attestations add to a load: by random people, about random relationships.
fn load_attested(network: &Network, count: usize) {
    let entities: Vec<_> = network.entities().collect();
    let facts: Vec<RelationshipFact> = network.relationships().collect();
    let mut dice = Dice(5);
    let attestations: Vec<_> = (0..count)
        .map(|n| {
            let target = network.relationship(dice.below(network.statements.len())).key;
            attestation(1 + dice.below(network.people as usize) as u32, n as u64, target)
        })
        .collect();
    let start = Instant::now();
    let graph =
        Graph::load(TODAY, 0, entities.into_iter(), facts.into_iter(), attestations.into_iter());
    println!("load, {count} attestations {:.2?}", start.elapsed());
    assert_eq!(graph.stats().total_attestations, count);
}

struct Times(Vec<Duration>);

impl Times {
    fn of(count: usize, mut work: impl FnMut(usize)) -> Self {
        let mut all: Vec<Duration> = (0..count)
            .map(|n| {
                let start = Instant::now();
                work(n);
                start.elapsed()
            })
            .collect();
        all.sort_unstable();
        Self(all)
    }

    fn at(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    fn mean(&self) -> Duration {
        self.0.iter().sum::<Duration>() / self.0.len() as u32
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |d: Duration| d.as_nanos() as f64 / 1e3;
        write!(
            f,
            "p50 {:>9.1} µs   p99 {:>9.1} µs   mean {:>9.1} µs   max {:>9.1} µs",
            micros(self.at(0.5)),
            micros(self.at(0.99)),
            micros(self.mean()),
            micros(self.at(1.0))
        )
    }
}

fn paths(graph: &Graph, network: &Network, [p50, p99]: [u64; 2]) {
    let pairs = network.pairs(1_000, 1);
    let mut found = 0;
    let mut ask = |n: usize, change: &dyn Fn(&mut PathQuery)| {
        let (from, to) = pairs[n];
        let mut query = PathQuery { min_strength: 0.0, ..PathQuery::new(from, to) };
        change(&mut query);
        let answer = graph.find_paths(&query, &mut || true).unwrap();
        found += usize::from(!black_box(answer).is_empty());
    };
    // Once to warm up.
    Times::of(200, |n| ask(n, &|_| ()));
    let plain = Times::of(pairs.len(), |n| ask(n, &|_| ()));
    println!("strongest, 6 hops      {plain}   (targets {p50} / {p99})");
    let strong = Times::of(pairs.len(), |n| ask(n, &|q| q.min_strength = 0.5));
    println!("… strength ≥ 0.5       {strong}");
    for hops in [3, 4, 10] {
        let times = Times::of(pairs.len(), |n| ask(n, &|q| q.max_hops = hops));
        println!("strongest, {hops:>2} hops     {times}");
    }
    let shortest = Times::of(pairs.len(), |n| ask(n, &|q| q.algorithm = Algorithm::Shortest));
    println!("shortest, 6 hops       {shortest}");
    let five = Times::of(pairs.len().min(300), |n| ask(n, &|q| q.k = 5));
    let same = Times::of(pairs.len().min(300), |n| ask(n, &|_| ()));
    println!(
        "strongest, k = 5       {five}   ({:.1} × k = 1 at the median, {:.1} × in the mean)",
        five.at(0.5).as_secs_f64() / same.at(0.5).as_secs_f64(),
        five.mean().as_secs_f64() / same.mean().as_secs_f64()
    );
    println!("({found} answers with a path)");
}

fn scores(graph: &Graph, network: &Network) {
    let pairs = network.pairs(1_000, 2);
    let one = Times::of(pairs.len(), |n| {
        black_box(graph.trust_metrics(pairs[n].0));
    });
    println!("trust metrics of one   {one}");
    let start = Instant::now();
    let all = graph.all_trust_metrics().len();
    println!("trust metrics of all   {all} in {:.2?}", start.elapsed());
    let start = Instant::now();
    graph.set_day(TODAY + 1);
    graph.set_day(TODAY);
    println!("a new day              {:.2?}", start.elapsed() / 2);
    // So long a prediction may know of what was withdrawn, and a tenth of a second.
    let said = network.relationship(0);
    let seq = graph.version();
    graph.apply(&ChangeSet { seq, changes: vec![Change::RelationshipGone(said.key)] });
    assert!(graph.outdated());
    let start = Instant::now();
    graph.relearn();
    println!("predictions, anew      {:.2?}", start.elapsed());
    graph.apply(&ChangeSet { seq, changes: vec![Change::Relationship(said)] });
}

fn apply(graph: &Graph, network: &Network, changes: usize) {
    let mut dice = Dice(3);
    let mut seq = 0;
    let mut one = |change: Change| {
        seq += 1;
        graph.apply(&ChangeSet { seq, changes: vec![change] });
    };
    let random = |dice: &mut Dice| {
        let mut fact = network.relationship(dice.below(network.statements.len()));
        fact.strength = 1 + dice.below(100) as u8;
        fact
    };
    // Attestations by strangers and acquaintances, on one relationship.
    let target = network.relationship(0).key;
    for n in 0..100u32 {
        let fact = attestation(dice.below(network.people as usize) as u32 + 1, n.into(), target);
        one(Change::Attestation(fact));
    }
    let conviction = Times::of(1_000, |_| {
        black_box(graph.conviction(target));
    });
    println!("conviction of 100      {conviction}");
    let times = Times::of(changes, |_| one(Change::Relationship(random(&mut dice))));
    println!("apply: a record again  {times}");
    let times = Times::of(changes, |n| {
        let mut fact = random(&mut dice);
        std::mem::swap(&mut fact.key.owner, &mut fact.subject);
        fact.key.rkey = Tid::from_u64(1 << 50 | n as u64).unwrap();
        one(Change::Relationship(fact));
    });
    println!("apply: the other side  {times}");
    let times = Times::of(changes, |n| {
        let attester = network.pairs_of(&mut dice);
        let target = network.relationship(dice.below(network.statements.len())).key;
        one(Change::Attestation(attestation(attester, 1000 + n as u64, target)));
    });
    println!("apply: an attestation  {times}");
    let times = Times::of(1_000, |n| {
        let mut who = entity(1 + n as u32);
        who.stands_alone = true;
        one(Change::Entity(who));
    });
    println!("apply: a profile       {times}");
    assert_eq!(graph.version(), seq);
}

impl Network {
    fn pairs_of(&self, dice: &mut Dice) -> u32 {
        self.statements[dice.below(self.statements.len())].0
    }
}

fn attestation(attester: u32, n: u64, target: RecordKey) -> AttestationFact {
    AttestationFact {
        key: RecordKey { owner: EntityId(attester), rkey: Tid::from_u64(n).unwrap() },
        target,
        kind: if n.is_multiple_of(5) { AttestationKind::Dispute } else { AttestationKind::Verify },
        confidence: 90,
        effective: i64::from(TODAY) * 86_400_000_000,
        rev: Tid::ZERO,
    }
}

/// Root mean square error (in ratings / 10) and correlation of predictions: in the order of time,
/// and with random splits, where a fifth of the statements is asked about, each at its own date,
/// by who has learned all others, earlier and later. Beside both, the mean of what was received.
fn predict(network: &Network) {
    let all = network.statements.len();
    let nobody = || network.graph_of(std::iter::empty());
    let learn = |graph: &Graph, n: usize| {
        let changes = vec![Change::Relationship(network.relationship(n))];
        graph.apply(&ChangeSet { seq: n as u64 + 1, changes });
    };
    let judge = |graph: &Graph, received: &Received, n: usize| {
        let fact = network.relationship(n);
        let p = graph.predict_at(fact.key.owner, fact.subject, fact.created);
        let y = f64::from(fact.strength) / 100.0;
        let within = p.low <= y && y <= p.high;
        Judged { n, ours: p.estimate, plain: received.mean(fact.subject), y, within }
    };
    for (name, from, to) in [("20–60 %, chosen on", 2, 6), ("60–100 %, in order", 6, 10)] {
        let (graph, mut received) = (nobody(), Received::of(network));
        let mut judged = Vec::new();
        for n in 0..all * to / 10 {
            if n >= all * from / 10 {
                judged.push(judge(&graph, &received, n));
            }
            learn(&graph, n);
            received.learn(network, n);
        }
        let [ours, plain] = fits(&judged);
        let within = judged.iter().filter(|j| j.within).count() as f64 / judged.len() as f64;
        println!(
            "predict, {name}    RMSE {:.4}   correlation {:.4}   within the interval {within:.3}   \
             (plain mean {:.4} / {:.4}; {} statements)",
            ours[0],
            ours[1],
            plain[0],
            plain[1],
            judged.len()
        );
    }
    let names = ["random 80/20, all asked ", "… of the last 40 % only "];
    let mut found: [Vec<[[f64; 2]; 2]>; 2] = Default::default();
    for seed in 1..=10 {
        let mut dice = Dice(seed);
        let (kept, asked): (Vec<usize>, Vec<usize>) = (0..all).partition(|_| dice.below(5) > 0);
        let (graph, mut received) = (nobody(), Received::of(network));
        for n in kept {
            learn(&graph, n);
            received.learn(network, n);
        }
        let judged: Vec<_> = asked.iter().map(|&n| judge(&graph, &received, n)).collect();
        found[0].push(fits(&judged));
        let late: Vec<_> = judged.into_iter().filter(|j| j.n >= all * 6 / 10).collect();
        found[1].push(fits(&late));
    }
    for (name, found) in names.iter().zip(found) {
        let spread = |which: usize, what: usize| {
            let values = || found.iter().map(|fits| fits[which][what]);
            let mean = values().sum::<f64>() / found.len() as f64;
            let squares = values().map(|v| (v - mean).powi(2)).sum::<f64>();
            format!("{mean:.4} ± {:.4}", (squares / (found.len() - 1) as f64).sqrt())
        };
        println!(
            "predict, {name}   RMSE {}   correlation {}   (plain mean {} / {}; {} seeds)",
            spread(0, 0),
            spread(0, 1),
            spread(1, 0),
            spread(1, 1),
            found.len()
        );
    }
}

struct Judged {
    n: usize,
    ours: f64,
    plain: f64,
    y: f64,
    within: bool,
}

/// The baseline: the mean of what somebody received, of nobody known the mean of all.
struct Received {
    by_person: Vec<(f64, f64)>,
    all: (f64, f64),
}

impl Received {
    fn of(network: &Network) -> Self {
        Self { by_person: vec![(0.0, 0.0); network.people as usize + 1], all: (0.0, 0.0) }
    }

    fn learn(&mut self, network: &Network, n: usize) {
        let (_, to, strength, _) = network.statements[n];
        for (sum, count) in [&mut self.by_person[to as usize], &mut self.all] {
            *sum += f64::from(strength) / 100.0;
            *count += 1.0;
        }
    }

    fn mean(&self, of: EntityId) -> f64 {
        let one = self.by_person[of.0 as usize];
        let (sum, count) = if one.1 > 0.0 { one } else { self.all };
        sum / count
    }
}

/// Root mean square error (in ratings / 10) and correlation: ours, and the plain mean's.
fn fits(judged: &[Judged]) -> [[f64; 2]; 2] {
    let n = judged.len() as f64;
    let mean = |of: &dyn Fn(&Judged) -> f64| judged.iter().map(of).sum::<f64>() / n;
    let my = mean(&|j| j.y);
    let fit = |of: &dyn Fn(&Judged) -> f64| {
        let mp = mean(of);
        let covariance = mean(&|j| (of(j) - mp) * (j.y - my));
        let variances = mean(&|j| (of(j) - mp).powi(2)) * mean(&|j| (j.y - my).powi(2));
        let error = mean(&|j| (2.0 * (of(j) - j.y)).powi(2)).sqrt();
        [error, covariance / variances.sqrt()]
    };
    [fit(&|j| j.ours), fit(&|j| j.plain)]
}

/// 2,000 events a second on one thread, questions for paths on another.
fn updates(graph: &Graph, network: &Network) {
    let pairs = network.pairs(1_000, 1);
    let ask = |n: usize| {
        let (from, to) = pairs[n % pairs.len()];
        let query = PathQuery { min_strength: 0.0, ..PathQuery::new(from, to) };
        black_box(graph.find_paths(&query, &mut || true).unwrap());
    };
    let still = Times::of(2_000, ask);
    println!("paths, nothing else    {still}");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let applier = scope.spawn(|| {
            let mut dice = Dice(4);
            let start = Instant::now();
            let mut seq = graph.version();
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let due = Duration::from_micros(500) * times.len() as u32;
                if let Some(rest) = due.checked_sub(start.elapsed()) {
                    std::thread::sleep(rest);
                }
                let mut fact = network.relationship(dice.below(network.statements.len()));
                fact.strength = 1 + dice.below(100) as u8;
                seq += 1;
                let set = ChangeSet { seq, changes: vec![Change::Relationship(fact)] };
                let start = Instant::now();
                graph.apply(&set);
                times.push(start.elapsed());
            }
            let rate = times.len() as f64 / start.elapsed().as_secs_f64();
            times.sort_unstable();
            (Times(times), rate)
        });
        let start = Instant::now();
        let mut n = 0;
        let mut times = Vec::new();
        while start.elapsed() < Duration::from_secs(5) {
            let start = Instant::now();
            ask(n);
            times.push(start.elapsed());
            n += 1;
        }
        done.store(true, Ordering::Relaxed);
        times.sort_unstable();
        println!("paths under updates    {}", Times(times));
        if let Ok((times, rate)) = applier.join() {
            println!("updates under paths    {times}   ({rate:.0}/s)");
        }
    });
}
