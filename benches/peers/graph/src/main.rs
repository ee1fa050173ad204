//! petgraph on the networks that `cargo bench -p rhiz-graph -- emit=DIR` wrote: one thread, the
//! same pairs, one row of the table for each of its two searches between two ends.
//!
//! `peers-graph DIR NETWORK PAIRS SECONDS`: at most so many pairs, and no new one after so long.

use petgraph::algo::{astar, bidirectional_dijkstra};
use petgraph::graph::{NodeIndex, UnGraph};
use std::io::Write;
use std::time::{Duration, Instant};

const VERSION: &str = "0.8.3";
const MOST_HOPS: usize = 6;
const NONE: u32 = u32::MAX;

type Answer = Option<(u64, Option<usize>)>;

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().copied().map(u32::from_le_bytes).collect()
}

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, network, pairs, seconds] = &args[..] else {
        return Err(std::io::Error::other("usage: peers-graph DIR NETWORK PAIRS SECONDS"));
    };
    let whole = |text: &str| text.parse::<u64>().map_err(std::io::Error::other);
    let (most, limit) = (whole(pairs)? as usize, Duration::from_secs(whole(seconds)?));
    let edges = std::fs::read(format!("{dir}/{network}.edges"))?;
    let edges = numbers(&edges);
    let [nodes, count, ref columns @ ..] = edges[..] else {
        return Err(std::io::Error::other("the file of edges is empty"));
    };
    let count = count as usize;
    let mut graph = UnGraph::<(), u64>::with_capacity(nodes as usize, count);
    for _ in 0..nodes {
        graph.add_node(());
    }
    for i in 0..count {
        let (a, b) = (columns[i], columns[count + i]);
        let cost = u64::from(columns[2 * count + i]);
        graph.add_edge(NodeIndex::new(a as usize), NodeIndex::new(b as usize), cost);
    }
    let pairs = numbers(&std::fs::read(format!("{dir}/{network}.pairs"))?);
    let (pairs, _) = pairs.as_chunks::<4>();
    let pairs = &pairs[..most.min(pairs.len())];

    measure(dir, network, "astar without heuristic", pairs, limit, |from, to| {
        let found = astar(&graph, from, |n| n == to, |e| *e.weight(), |_| 0)?;
        Some((found.0, Some(found.1.len() - 1)))
    })?;
    measure(dir, network, "bidirectional_dijkstra", pairs, limit, |from, to| {
        bidirectional_dijkstra(&graph, from, to, |e| *e.weight()).map(|cost| (cost, None))
    })
}

/// Asks for every pair, and adds a row to the table.
fn measure(
    dir: &str,
    network: &str,
    what: &str,
    pairs: &[[u32; 4]],
    limit: Duration,
    ask: impl Fn(NodeIndex, NodeIndex) -> Answer,
) -> std::io::Result<()> {
    let began = Instant::now();
    let (mut times, mut right, mut long, mut other) = (Vec::new(), 0, 0, 0);
    for &[from, to, cost, _] in pairs {
        let start = Instant::now();
        let answer = ask(NodeIndex::new(from as usize), NodeIndex::new(to as usize));
        times.push(start.elapsed());
        match answer {
            None if cost == NONE => right += 1,
            Some((_, Some(hops))) if hops > MOST_HOPS => long += 1,
            // Cheaper than the best within the bound: it can only be longer.
            Some((its, _)) if its < u64::from(cost) => long += 1,
            Some((its, _)) if its == u64::from(cost) => right += 1,
            _ => other += 1,
        }
        if began.elapsed() > limit {
            break;
        }
    }
    times.sort_unstable();
    let at =
        |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1e3;
    let row = format!(
        "{network}\tpetgraph {VERSION}\t{what}\t{}\t{:.1}\t{:.1}\t{right}\t{long}\t{other}\n",
        times.len(),
        at(0.5),
        at(0.99)
    );
    let mut table = std::fs::OpenOptions::new().append(true).open(format!("{dir}/results.tsv"))?;
    table.write_all(row.as_bytes())
}
