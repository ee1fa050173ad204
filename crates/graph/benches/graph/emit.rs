//! The network, the pairs and our answers as files, for other graph libraries to be measured on
//! the same: `benches/peers/graph` reads them. Words of 32 bits, little-endian.
//!
//! `NAME.edges`: entities, edges; then all first ends, all second ends, all costs.
//! `NAME.pairs`: from, to, the cost of the best path within 6 hops, its hops; both `u32::MAX`
//! when there is none. `results.tsv`: one row for our own search.

use crate::Times;
use crate::networks::Network;
use rhiz_domain::fact::EntityId;
use rhiz_graph::formula::Trust;
use rhiz_graph::{Graph, NeighbourQuery, PathQuery};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const NONE: u32 = u32::MAX;
const PAIRS: usize = 1_000;

fn words(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_le_bytes).collect()
}

pub(crate) fn emit(dir: &Path, name: &str, graph: &Graph, network: &Network) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let all = NeighbourQuery { min_strength: 0.0, kinds: None, limit: usize::MAX, after: None };
    let (mut a, mut b, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for from in 1..=network.people {
        for neighbour in graph.neighbours(EntityId(from), &all).unwrap_or_default().list {
            if neighbour.id.0 > from {
                a.push(from);
                b.push(neighbour.id.0);
                costs.push(Trust::new(neighbour.trust).cost().unwrap_or(NONE));
            }
        }
    }
    let sizes = [network.people + 1, a.len() as u32];
    let columns = sizes.into_iter().chain(a).chain(b).chain(costs);
    fs::write(dir.join(format!("{name}.edges")), words(columns))?;

    let pairs = network.pairs(PAIRS, 1);
    let mut answers = Vec::with_capacity(PAIRS);
    for n in 0..2 * PAIRS {
        // Once to warm up, then the answers.
        let (from, to) = pairs[n % PAIRS];
        let query = PathQuery { min_strength: 0.0, ..PathQuery::new(from, to) };
        let found = graph.find_paths(&query, &mut || true).map_err(io::Error::other)?;
        answers.push(found.into_iter().next());
    }
    let rows = pairs.iter().zip(&answers[PAIRS..]).flat_map(|((from, to), path)| {
        let (cost, hops) = path.as_ref().map_or((NONE, NONE), |path| {
            let costs = path.hops.iter().filter_map(|hop| Trust::new(hop.trust).cost());
            (costs.sum(), path.hops.len() as u32)
        });
        [from.0, to.0, cost, hops]
    });
    fs::write(dir.join(format!("{name}.pairs")), words(rows))?;

    let times = Times::of(PAIRS, |n| {
        let (from, to) = pairs[n];
        let query = PathQuery { min_strength: 0.0, ..PathQuery::new(from, to) };
        std::hint::black_box(graph.find_paths(&query, &mut || true)).ok();
    });
    let micros = |share| times.at(share).as_nanos() as f64 / 1e3;
    let (p50, p99) = (micros(0.5), micros(0.99));
    let row = format!(
        "{name}\trhiz {}\tfind_paths\t{PAIRS}\t{p50:.1}\t{p99:.1}\t{PAIRS}\t0\t0\n",
        env!("CARGO_PKG_VERSION")
    );
    let table = OpenOptions::new().create(true).append(true).open(dir.join("results.tsv"));
    table?.write_all(row.as_bytes())
}
