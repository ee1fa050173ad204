//! What every cache backend promises: memory, Redis, and both in tiers pass this suite.
//!
//! Each case gets a fresh backend over an empty store, with a clock that the case moves.

use rhiz_domain::cache::{
    CacheBackend, CacheStatus, Consistency, Invalidation, SetOptions, Target,
};
use rhiz_domain::clock::ManualClock;
use std::sync::Arc;
use std::time::Duration;

/// A backend, and the clock it was given.
pub struct CacheUnderTest {
    /// What is tested.
    pub cache: Arc<dyn CacheBackend>,
    /// Its time.
    pub clock: Arc<ManualClock>,
}

/// Runs every case, each on a backend of its own.
///
/// # Panics
/// When a promise is not kept.
pub async fn suite(make: impl AsyncFn() -> CacheUnderTest) {
    values_come_back_as_they_were(&make().await).await;
    a_value_is_replaced_and_deleted(&make().await).await;
    time_to_live_ends_and_zero_keeps_nothing(&make().await).await;
    the_race_of_load_and_invalidation_is_closed(&make().await).await;
    a_tag_hides_what_carries_it_and_nothing_else(&make().await).await;
    patterns_hide_what_matches_and_nothing_else(&make().await).await;
    an_identifier_with_a_star_is_no_wildcard(&make().await).await;
    repeating_a_record_changes_nothing(&make().await).await;
    keys_that_cannot_be_are_refused(&make().await).await;
    what_is_closed_finds_and_keeps_nothing(&make().await).await;
}

async fn get(test: &CacheUnderTest, key: &str) -> Option<Vec<u8>> {
    test.cache.get(key, Consistency::Fenced).await.expect("a good key")
}

async fn set(test: &CacheUnderTest, key: &str, value: &[u8], tags: &[&str]) {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    let options = SetOptions { tags, ..SetOptions::default() };
    test.cache.set(key, value.to_vec(), &options).await.expect("a good key");
}

async fn values_come_back_as_they_were(test: &CacheUnderTest) {
    for value in [&b""[..], b"\x00\xff\n", &[7; 100_000]] {
        set(test, "entity:did:plc:a", value, &[]).await;
        assert_eq!(get(test, "entity:did:plc:a").await.as_deref(), Some(value));
    }
    assert_eq!(get(test, "entity:did:plc:b").await, None);
    assert!(test.cache.exists("entity:did:plc:a").await.expect("a good key"));
    assert!(!test.cache.exists("entity:did:plc:b").await.expect("a good key"));
    let health = test.cache.health().await;
    assert_eq!(health.status, CacheStatus::Healthy, "{:?}", health.reason);
}

async fn a_value_is_replaced_and_deleted(test: &CacheUnderTest) {
    set(test, "k", b"1", &[]).await;
    set(test, "k", b"2", &[]).await;
    assert_eq!(get(test, "k").await.as_deref(), Some(&b"2"[..]));
    assert!(test.cache.delete("k").await.expect("a good key"));
    assert!(!test.cache.delete("k").await.expect("a good key"));
    assert_eq!(get(test, "k").await, None);
    set(test, "k", b"3", &[]).await;
    assert_eq!(get(test, "k").await.as_deref(), Some(&b"3"[..]), "after a delete");
}

async fn time_to_live_ends_and_zero_keeps_nothing(test: &CacheUnderTest) {
    let ttl =
        |seconds| SetOptions { ttl: Some(Duration::from_secs(seconds)), ..SetOptions::default() };
    test.cache.set("k", b"v".to_vec(), &ttl(100)).await.expect("a good key");
    test.clock.advance(Duration::from_secs(89));
    assert!(get(test, "k").await.is_some(), "jitter shortens by a tenth at most");
    test.clock.advance(Duration::from_secs(11));
    assert!(get(test, "k").await.is_none(), "jitter never lengthens");
    set(test, "zero", b"old", &[]).await;
    test.cache.set("zero", b"new".to_vec(), &ttl(0)).await.expect("a good key");
    assert_eq!(get(test, "zero").await, None, "0 s is not for ever, and not the value before");
}

async fn the_race_of_load_and_invalidation_is_closed(test: &CacheUnderTest) {
    // Read the old state, event applied and cache cleared, write the old value.
    for (seq, target) in [
        (1, Target::Tag("did:plc:a".into())),
        (2, Target::Key("trust:score:a".into())),
        (3, Target::Pattern("trust:*".into())),
        (4, Target::Pattern("*:score:?".into())),
    ] {
        let noted = test.cache.note();
        test.cache.invalidate(&Invalidation { seq, targets: vec![target.clone()] });
        let tags = vec!["did:plc:a".to_owned()];
        let options = SetOptions { tags, stamp: Some(noted), ..SetOptions::default() };
        test.cache.set("trust:score:a", b"old".to_vec(), &options).await.expect("a good key");
        assert_eq!(get(test, "trust:score:a").await, None, "{target:?}");
    }
    let options = SetOptions { stamp: Some(test.cache.note()), ..SetOptions::default() };
    test.cache.set("trust:score:a", b"new".to_vec(), &options).await.expect("a good key");
    assert!(get(test, "trust:score:a").await.is_some(), "noted after all of them");
}

async fn a_tag_hides_what_carries_it_and_nothing_else(test: &CacheUnderTest) {
    set(test, "graph:path:a:c", b"a-b-c", &["a", "b", "c"]).await;
    set(test, "graph:path:a:d", b"a-d", &["a", "d"]).await;
    test.cache.clear_tag("b").await.expect("a good tag");
    assert_eq!(get(test, "graph:path:a:c").await, None);
    assert!(get(test, "graph:path:a:d").await.is_some());
    test.cache.invalidate(&Invalidation { seq: 1, targets: vec![Target::Tag("d".into())] });
    assert_eq!(get(test, "graph:path:a:d").await, None);
}

async fn patterns_hide_what_matches_and_nothing_else(test: &CacheUnderTest) {
    let keys = ["trust:score:a", "trust:score:b", "entity:a"];
    for (pattern, hidden) in [
        ("trust:*", [true, true, false]),
        ("*:b", [false, true, false]),
        ("*score:[!b]", [true, false, false]),
        ("entity:a", [false, false, true]),
        ("*", [true, true, true]),
    ] {
        for key in keys {
            set(test, key, b"v", &[]).await;
        }
        test.cache.clear_pattern(pattern).await.expect("a good pattern");
        for (key, hidden) in keys.iter().zip(hidden) {
            assert_eq!(get(test, key).await.is_none(), hidden, "{key} after {pattern}");
        }
    }
    assert!(test.cache.clear_pattern("trust:[").await.is_err(), "not closed");
}

async fn an_identifier_with_a_star_is_no_wildcard(test: &CacheUnderTest) {
    set(test, "entity:a*", b"star", &[]).await;
    set(test, "entity:ab", b"b", &[]).await;
    test.cache.invalidate(&Invalidation { seq: 1, targets: vec![Target::Key("entity:a*".into())] });
    assert_eq!(get(test, "entity:a*").await, None);
    assert!(get(test, "entity:ab").await.is_some());
    assert!(test.cache.delete("entity:*").await.is_ok());
    assert!(get(test, "entity:ab").await.is_some());
}

async fn repeating_a_record_changes_nothing(test: &CacheUnderTest) {
    let record = Invalidation { seq: 9, targets: vec![Target::Tag("a".into())] };
    test.cache.invalidate(&record);
    test.cache.invalidate(&record);
    set(test, "k", b"v", &["a"]).await;
    assert!(get(test, "k").await.is_some());
}

async fn keys_that_cannot_be_are_refused(test: &CacheUnderTest) {
    let big = "k".repeat(1 << 20);
    for key in ["", "a\nb", "a\u{0}", big.as_str()] {
        let error = test.cache.get(key, Consistency::Eventual).await.expect_err("refused");
        assert!(error.to_string().len() < 300, "an error that can be read: {error}");
        assert!(test.cache.set(key, vec![1], &SetOptions::default()).await.is_err());
        assert!(test.cache.delete(key).await.is_err());
        assert!(test.cache.exists(key).await.is_err());
    }
}

async fn what_is_closed_finds_and_keeps_nothing(test: &CacheUnderTest) {
    set(test, "k", b"v", &[]).await;
    test.cache.close().await;
    assert_eq!(get(test, "k").await, None);
    set(test, "k", b"v", &[]).await;
    assert_eq!(get(test, "k").await, None);
    assert_eq!(test.cache.health().await.status, CacheStatus::Unhealthy);
}
