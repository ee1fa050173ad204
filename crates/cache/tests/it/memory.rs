//! The service with memory alone.

use rhiz_cache::{
    CacheConfig, CacheService, Call, Computed, Consistency, Invalidation, LoadError, SetOptions,
    Target,
};
use rhiz_domain::clock::{ManualClock, SeededEntropy};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn service() -> (CacheService, Arc<ManualClock>) {
    service_with(CacheConfig::default())
}

fn service_with(config: CacheConfig) -> (CacheService, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().expect("time")));
    let cache = CacheService::memory(config, clock.clone(), Arc::new(SeededEntropy::new(1)))
        .expect("settings");
    (cache, clock)
}

fn tagged(tag: &str) -> SetOptions {
    SetOptions { tags: vec![tag.to_owned()], ..SetOptions::default() }
}

async fn get(cache: &CacheService, key: &str) -> Option<String> {
    cache.get::<String>(key, Consistency::Eventual).await.expect("key").map(|v| (*v).clone())
}

async fn ok<T>(value: Computed<T>) -> Result<Computed<T>, Infallible> {
    Ok(value)
}

#[tokio::test]
async fn a_value_computed_before_an_invalidation_is_never_seen_after_it() {
    let (cache, _) = service();
    let inside = cache.clone();
    let answer = cache
        .get_or_compute("trust:score:a", Call::FENCED, || async move {
            // The old state was read; now the event is applied and the cache cleared.
            inside.invalidate(&Invalidation { seq: 5, targets: vec![Target::Tag("a".into())] });
            ok(Computed::new("old".to_owned()).tags(["a"])).await
        })
        .await
        .expect("computed");
    assert_eq!(*answer, "old", "the call began before the event");
    assert_eq!(get(&cache, "trust:score:a").await, None);
    assert_eq!(cache.head(), 5);
}

#[tokio::test]
async fn who_comes_after_an_invalidation_does_not_share_a_computation_from_before_it() {
    let (cache, _) = service();
    let (release, gate) = tokio::sync::oneshot::channel::<()>();
    let (started, start) = tokio::sync::oneshot::channel::<()>();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_compute("k", Call::FENCED, || async move {
                    started.send(()).expect("test waits");
                    gate.await.expect("released");
                    ok(Computed::new("old".to_owned()).tags(["a"])).await
                })
                .await
                .expect("computed")
        }
    });
    start.await.expect("started");
    cache.invalidate(&Invalidation { seq: 1, targets: vec![Target::Tag("a".into())] });
    let second = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_compute("k", Call::FENCED, || {
                    ok(Computed::new("new".to_owned()).tags(["a"]))
                })
                .await
                .expect("computed")
        }
    });
    tokio::task::yield_now().await;
    release.send(()).expect("gate");
    assert_eq!(*first.await.expect("task"), "old");
    assert_eq!(*second.await.expect("task"), "new");
    assert_eq!(get(&cache, "k").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn ten_thousand_callers_of_a_missing_key_cause_one_computation() {
    let (cache, _) = service();
    let computed = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let (cache, computed, gate) = (cache.clone(), computed.clone(), gate.clone());
            tokio::spawn(async move {
                cache
                    .get_or_compute("k", Call::EVENTUAL, || async move {
                        computed.fetch_add(1, Ordering::SeqCst);
                        let _permit = gate.acquire().await.expect("open");
                        ok(Computed::new(7_u64)).await
                    })
                    .await
                    .expect("computed")
            })
        })
        .collect();
    while cache.stats().overall.total.coalesced < 9_999 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(*caller.await.expect("task"), 7);
    }
    assert_eq!(computed.load(Ordering::SeqCst), 1);
    let stats = cache.stats().overall.total;
    assert_eq!((stats.misses, stats.hits, stats.coalesced), (10_000, 0, 9_999));
}

#[tokio::test]
async fn a_failed_computation_is_shared_and_not_kept() {
    let (cache, _) = service();
    let error = cache
        .get_or_compute::<String, _>("k", Call::EVENTUAL, || async { Err("no source") })
        .await
        .expect_err("fails");
    assert!(matches!(error, LoadError::Compute(e) if *e == "no source"));
    let value =
        cache.get_or_compute("k", Call::EVENTUAL, || ok(Computed::new("v".to_owned()))).await;
    assert_eq!(*value.expect("computed"), "v");
}

#[tokio::test]
async fn a_dropped_computation_is_taken_over_by_a_waiter() {
    let (cache, _) = service();
    let (started, start) = tokio::sync::oneshot::channel::<()>();
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_compute::<String, Infallible>("k", Call::EVENTUAL, || async move {
                    started.send(()).expect("test waits");
                    std::future::pending().await
                })
                .await
        }
    });
    start.await.expect("started");
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache.get_or_compute("k", Call::EVENTUAL, || ok(Computed::new("v".to_owned()))).await
        }
    });
    while cache.stats().overall.total.coalesced < 1 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert_eq!(*waiter.await.expect("task").expect("computed"), "v");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_does_not_wait_for_ever() {
    let (cache, _) = service();
    let (started, start) = tokio::sync::oneshot::channel::<()>();
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_compute::<String, Infallible>("k", Call::EVENTUAL, || async move {
                    started.send(()).expect("test waits");
                    std::future::pending().await
                })
                .await
        }
    });
    start.await.expect("started");
    let value =
        cache.get_or_compute("k", Call::EVENTUAL, || ok(Computed::new("mine".to_owned()))).await;
    assert_eq!(*value.expect("computed"), "mine");
    leader.abort();
}

#[tokio::test]
async fn a_value_set_by_hand_outlives_a_computation_that_began_before() {
    let (cache, _) = service();
    let inside = cache.clone();
    cache
        .get_or_compute("k", Call::EVENTUAL, || async move {
            inside.set("k", "by hand".to_owned(), &SetOptions::default()).await.expect("set");
            ok(Computed::new("computed".to_owned())).await
        })
        .await
        .expect("computed");
    assert_eq!(get(&cache, "k").await.as_deref(), Some("by hand"));
}

#[tokio::test]
async fn time_to_live_ends_and_zero_keeps_nothing() {
    let (cache, clock) = service();
    let ttl =
        |seconds| SetOptions { ttl: Some(Duration::from_secs(seconds)), ..SetOptions::default() };
    cache.set("k", "v".to_owned(), &ttl(10)).await.expect("set");
    clock.advance(Duration::from_millis(8_999));
    assert_eq!(get(&cache, "k").await.as_deref(), Some("v"), "jitter takes a tenth at most");
    clock.advance(Duration::from_millis(1_001));
    assert_eq!(get(&cache, "k").await, None);
    assert_eq!(cache.stats().overall.total.stale_hits, 1);
    cache.set("zero", "v".to_owned(), &ttl(0)).await.expect("set");
    assert_eq!(get(&cache, "zero").await, None);
}

#[tokio::test]
async fn forced_computations_and_none_answers_are_counted_apart() {
    let (cache, _) = service();
    for refresh in [false, false, true] {
        let call = Call::EVENTUAL.refresh(refresh);
        cache
            .get_or_compute("graph:path:a:b", call, || ok(Computed::new(None::<u8>).none()))
            .await
            .expect("computed");
    }
    cache
        .get_or_compute("graph:path:a:c", Call::EVENTUAL, || ok(Computed::new(Some(1_u8))))
        .await
        .expect("computed");
    cache.get::<Option<u8>>("graph:path:a:c", Consistency::Eventual).await.expect("key");
    let stats = cache.stats().overall;
    let total = stats.total;
    assert_eq!((total.none_hits, total.none_misses, total.refreshes), (1, 1, 1));
    assert_eq!((total.hits, total.misses, total.hit_rate()), (1, 2, Some(0.5)));
    assert_eq!(stats.namespaces[1].1.hits, 1, "graph:path");
}

#[tokio::test]
async fn a_kept_value_that_no_longer_passes_is_computed_anew() {
    let (cache, _) = service();
    let load = |valid: bool, value: &'static str| {
        let cache = cache.clone();
        async move {
            let compute = || ok(Computed::new(value.to_owned()));
            (*cache
                .get_or_compute_if("k", Call::FENCED, |_| valid, compute)
                .await
                .expect("computed"))
            .clone()
        }
    };
    assert_eq!(load(true, "first").await, "first");
    assert_eq!(load(true, "second").await, "first");
    assert_eq!(load(false, "third").await, "third");
    assert_eq!(load(true, "fourth").await, "third");
}

#[tokio::test]
async fn deleting_clearing_and_other_types() {
    let (cache, _) = service();
    cache.set("trust:score:a", "v".to_owned(), &tagged("a")).await.expect("set");
    assert!(cache.exists("trust:score:a").await.expect("key"));
    assert_eq!(cache.get::<u64>("trust:score:a", Consistency::Eventual).await.expect("key"), None);
    assert_eq!(cache.stats().overall.total.bad_values, 1);
    assert!(!cache.exists("trust:score:a").await.expect("key"), "removed");

    cache.set("trust:score:a", "v".to_owned(), &tagged("a")).await.expect("set");
    assert!(cache.delete("trust:score:a").await.expect("key"));
    assert!(!cache.delete("trust:score:a").await.expect("key"));
    for clear in ["trust:*", "*:score:?", "*"] {
        cache.set("trust:score:a", "v".to_owned(), &tagged("a")).await.expect("set");
        cache.clear_pattern(clear).await.expect("pattern");
        assert_eq!(get(&cache, "trust:score:a").await, None, "{clear}");
    }
    cache.set("trust:score:a", "v".to_owned(), &tagged("a")).await.expect("set");
    cache.clear_tag("b").await.expect("tag");
    assert!(get(&cache, "trust:score:a").await.is_some());
    cache.clear_tag("a").await.expect("tag");
    assert!(get(&cache, "trust:score:a").await.is_none());
    assert!(cache.get::<String>(&"k".repeat(1 << 20), Consistency::Eventual).await.is_err());
    assert!(cache.set("a\u{7}", 1_u8, &SetOptions::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_hidden_is_taken_out_of_memory_behind_the_readers() {
    let (cache, _) = service();
    for i in 0..5_000 {
        cache.set(&format!("trust:score:{i}"), i, &SetOptions::default()).await.expect("set");
        cache.set(&format!("entity:{i}"), i, &SetOptions::default()).await.expect("set");
    }
    let keys = || cache.stats().memory.expect("memory").total.keys.expect("counted");
    let all = keys();
    cache.clear_pattern("trust:*").await.expect("pattern");
    assert_eq!(keys(), all, "clearing touches nothing");
    // The paused clock moves on by itself while everything waits.
    tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>())
        .await
        .expect_err("time passes");
    let entities = cache.stats().memory.expect("memory").namespaces[5].1.keys.expect("counted");
    assert_eq!(keys(), entities, "only what is not hidden is left");
    assert!(entities > 0 && entities < all);
}

#[tokio::test]
async fn memory_is_bounded_in_keys_and_in_bytes() {
    let config = CacheConfig { max_keys: 100, max_bytes: 64 << 10, ..CacheConfig::default() };
    let (cache, _) = service_with(config);
    for i in 0..1_000 {
        cache
            .set(&format!("entity:{i}"), "v".repeat(i % 3_000), &SetOptions::default())
            .await
            .expect("set");
        let total = cache.stats().memory.expect("memory").total;
        assert!(total.keys <= Some(100) && total.bytes <= Some(64 << 10), "{total:?}");
    }
    let total = cache.stats().memory.expect("memory").total;
    let keys = total.keys.expect("counted");
    assert!(keys > 10 && total.evictions == 1_000 - keys);
}

#[tokio::test]
async fn everyone_who_asks_for_what_is_not_there_stays_out_of_the_hit_rate() {
    let (cache, _) = service();
    let (gate, closed) = tokio::sync::watch::channel(());
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (cache, mut closed) = (cache.clone(), closed.clone());
            tokio::spawn(async move {
                let compute = || async move {
                    closed.changed().await.expect("opened");
                    ok(Computed::new(None::<u8>).none()).await
                };
                cache.get_or_compute("graph:path:a:b", Call::EVENTUAL, compute).await
            })
        })
        .collect();
    while cache.stats().overall.total.coalesced < 99 {
        tokio::task::yield_now().await;
    }
    gate.send_replace(());
    for caller in callers {
        assert_eq!(*caller.await.expect("task").expect("computed"), None);
    }
    let total = cache.stats().overall.total;
    assert_eq!((total.misses, total.none_misses, total.hits), (100, 100, 0));
    assert_eq!(total.hit_rate(), None, "no lookup of something");
}

#[tokio::test]
async fn a_kept_none_that_comes_between_two_looks_is_a_none_hit() {
    let (cache, _) = service();
    cache.set("k", 1_u8, &SetOptions::default()).await.expect("set");
    let looks = AtomicUsize::new(0);
    let valid = |_: &u8| {
        // After the first look has refused what is there, another caller keeps "nothing".
        let again = looks.fetch_add(1, Ordering::SeqCst) > 0;
        if !again {
            let none = SetOptions { none: true, ..SetOptions::default() };
            let set = std::pin::pin!(cache.set("k", 0_u8, &none));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(set.poll(&mut context).is_ready(), "memory waits for nothing");
        }
        again
    };
    let value = cache.get_or_compute_if("k", Call::EVENTUAL, valid, || ok(Computed::new(9))).await;
    assert_eq!((*value.expect("found"), looks.into_inner()), (0, 2));
    let stats = cache.stats();
    let total = stats.overall.total;
    assert_eq!((total.hits, total.none_hits, total.misses, total.hidden), (0, 1, 0, 1));
    assert_eq!((total.hit_rate(), stats.memory.expect("memory").total.misses), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_value_set_by_hand_outlives_every_computation_that_began_before() {
    let (cache, clock) = service();
    let set = async |value: &str| {
        cache.set("k", value.to_owned(), &SetOptions::default()).await.expect("set");
    };
    let forced = Call::EVENTUAL.refresh(true);
    for call in [Call::EVENTUAL, forced] {
        cache.clear_pattern("*").await.expect("a pattern");
        let compute = || async {
            set("by hand").await;
            ok(Computed::new("computed".to_owned())).await
        };
        assert_eq!(*cache.get_or_compute("k", call, compute).await.expect("computed"), "computed");
        assert_eq!(get(&cache, "k").await.as_deref(), Some("by hand"), "{call:?}");
        // Who waits too long computes without a flight.
        cache.clear_pattern("*").await.expect("a pattern");
        let hangs = cache.get_or_compute("k", call, || async {
            std::future::pending::<Result<Computed<String>, Infallible>>().await
        });
        let late = cache.get_or_compute("k", call, || async {
            set("by hand").await;
            ok(Computed::new("computed".to_owned())).await
        });
        tokio::select! {
            biased;
            _ = hangs => unreachable!("it hangs"),
            late = late => assert_eq!(*late.expect("computed"), "computed"),
        }
        assert_eq!(get(&cache, "k").await.as_deref(), Some("by hand"), "{call:?}, no flight");
        // What is computed afterwards is newer.
        let compute = || ok(Computed::new("newer".to_owned()));
        cache.get_or_compute("k", forced, compute).await.expect("computed");
        assert_eq!(get(&cache, "k").await.as_deref(), Some("newer"));
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_long_did_is_a_tag_and_what_cannot_be_kept_is_still_shared() {
    let (cache, _) = service();
    let did = format!("did:web:{}", "a".repeat(2_040));
    let compute =
        || ok(Computed::new(1_u8).tags(["did:plc:b".to_owned(), format!("attested:{did}")]));
    cache.get_or_compute("k", Call::EVENTUAL, compute).await.expect("computed");
    assert!(cache.exists("k").await.expect("key"), "kept");
    let targets = vec![Target::Tag(format!("attested:{did}"))];
    cache.invalidate(&Invalidation { seq: 1, targets });
    assert!(!cache.exists("k").await.expect("key"), "hidden by it");

    let computed = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (cache, computed, gate) = (cache.clone(), computed.clone(), gate.clone());
            tokio::spawn(async move {
                let compute = || async move {
                    computed.fetch_add(1, Ordering::SeqCst);
                    let _permit = gate.acquire().await.expect("open");
                    ok(Computed::new(2_u8).tags(["no\ttag"])).await
                };
                cache.get_or_compute("k", Call::EVENTUAL.refresh(true), compute).await
            })
        })
        .collect();
    while cache.stats().overall.total.coalesced < 9 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(*caller.await.expect("task").expect("computed"), 2);
    }
    assert_eq!(computed.load(Ordering::SeqCst), 1, "computed once, although it cannot be kept");
    assert!(!cache.exists("k").await.expect("key"));
}

#[tokio::test]
async fn latency_is_told_by_namespace_and_what_is_not_known_is_not_0() {
    let (cache, _) = service();
    cache.set("entity:a", 1_u8, &SetOptions::default()).await.expect("set");
    for _ in 0..200 {
        cache.get::<u8>("entity:a", Consistency::Eventual).await.expect("key");
    }
    let stats = cache.stats();
    let memory = stats.memory.expect("memory");
    let of = |name: &str| memory.namespaces.iter().find(|(n, _)| n == name).expect("known").1;
    assert!(of("entity").latency_p50.is_some() && memory.total.latency_p99.is_some());
    assert_eq!((of("entity").keys, of("trust:score").latency_p50), (Some(1), None));
    assert_eq!((stats.overall.total.keys, stats.overall.total.bytes), (None, None));
}
