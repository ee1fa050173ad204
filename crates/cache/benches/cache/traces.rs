//! Hit rates on three real traces, at the same capacity, against three libraries.
//!
//! OLTP is the trace of Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache"
//! (FAST 2003); web12 and orm-busy are those of the cache2k benchmarks.

use crate::service;
use foyer_memory::{CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig};
use rhiz_cache::{Consistency, SetOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) async fn run() {
    println!("\n# hit rate on traces, %");
    let Some(folder) = folder() else {
        println!("the traces are not there: nothing was compared");
        return;
    };
    println!(
        "{:9} {:>6} {:>7} | {:>7} {:>7} {:>7} {:>7} {:>7} | best of the others",
        "trace", "keys", "own", "quick", "moka", "LRU", "S3FIFO", "TinyLFU"
    );
    for (name, trace, capacities) in [
        ("OLTP", oltp(&folder.join("OLTP.lis.zst")), &[250, 500, 1000, 2000, 5000, 10_000][..]),
        ("web12", keys(&folder.join("cache2k_web12.trace.xz")), &[75, 300, 1200, 3000]),
        (
            "orm-busy",
            keys(&folder.join("cache2k_orm-busy.trace.xz")),
            &[625, 1250, 2500, 5000, 10_000],
        ),
    ] {
        for &capacity in capacities {
            let own = own(&trace, capacity).await;
            let others = [
                quick(&trace, capacity),
                moka(&trace, capacity),
                foyer(&trace, capacity, LruConfig::default().into()),
                foyer(&trace, capacity, S3FifoConfig::default().into()),
                foyer(&trace, capacity, LfuConfig::default().into()),
            ];
            let best = others.into_iter().fold(0.0, f64::max);
            print!("{name:9} {capacity:6} {own:7.2} |");
            for other in others {
                print!(" {other:7.2}");
            }
            println!(" | {:+.2}", own - best);
        }
    }
}

fn folder() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the data is; not a setting of the product"
    )]
    let named = std::env::var("RHIZ_SHARED_DATA").ok().map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    [named, Some(beside)].into_iter().flatten().map(|f| f.join("traces")).find(|f| f.is_dir())
}

/// Lines of (first block, how many, …).
fn oltp(path: &Path) -> Vec<u64> {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the trace");
    zstd::Decoder::new(file).and_then(|mut d| d.read_to_string(&mut text)).expect("zstd");
    let mut trace = Vec::new();
    for line in text.lines() {
        let mut numbers = line.split_whitespace().map(|n| n.parse::<u64>().expect("a number"));
        let (first, count) = (numbers.next().expect("a block"), numbers.next().expect("a count"));
        trace.extend(first..first + count);
    }
    trace
}

/// Big-endian 32-bit keys.
fn keys(path: &Path) -> Vec<u64> {
    let file = std::fs::File::open(path).expect("the trace");
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut std::io::BufReader::new(file), &mut bytes).expect("xz");
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|c| u64::from(u32::from_be_bytes(*c))).collect()
}

fn percent(hits: usize, of: usize) -> f64 {
    hits as f64 / of as f64 * 100.0
}

async fn own(trace: &[u64], capacity: usize) -> f64 {
    let cache = service(capacity);
    for key in trace {
        let name = format!("trace:{key}");
        if cache.get::<()>(&name, Consistency::Eventual).await.expect("good").is_none() {
            cache.set(&name, (), &SetOptions::default()).await.expect("good");
        }
    }
    let total = cache.stats().overall.total;
    assert_eq!(total.hits + total.misses, trace.len() as u64);
    percent(usize::try_from(total.hits).expect("small"), trace.len())
}

fn quick(trace: &[u64], capacity: usize) -> f64 {
    let cache = quick_cache::sync::Cache::<u64, ()>::new(capacity);
    let hits = trace.iter().filter(|key| {
        let hit = cache.get(*key).is_some();
        if !hit {
            cache.insert(**key, ());
        }
        hit
    });
    percent(hits.count(), trace.len())
}

fn moka(trace: &[u64], capacity: usize) -> f64 {
    let cache = moka::sync::Cache::<u64, ()>::new(capacity as u64);
    let hits = trace.iter().enumerate().filter(|(n, key)| {
        let hit = cache.get(*key).is_some();
        if !hit {
            cache.insert(**key, ());
        }
        if n % 64 == 0 {
            cache.run_pending_tasks();
        }
        hit
    });
    percent(hits.count(), trace.len())
}

fn foyer(trace: &[u64], capacity: usize, eviction: EvictionConfig) -> f64 {
    let cache: foyer_memory::Cache<u64, ()> =
        CacheBuilder::new(capacity).with_shards(1).with_eviction_config(eviction).build();
    let hits = trace.iter().filter(|key| {
        let hit = cache.get(*key).is_some();
        if !hit {
            cache.insert(**key, ());
        }
        hit
    });
    percent(hits.count(), trace.len())
}
