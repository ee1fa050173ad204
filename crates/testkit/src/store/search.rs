//! Finding entities by the words of their names, by handle and by DID.

use super::Rig;
use crate::events::{deleted, identity, profile};
use rhiz_domain::EntityId;

async fn found(rig: &Rig, query: &str) -> Vec<String> {
    let ids = rig.store.search(Some(query), None, 100).await.unwrap();
    let rows = rig.store.entities(&ids).await.unwrap();
    assert_eq!(rows.len(), ids.len());
    rows.into_iter().map(|r| r.did.to_string()).collect()
}

const ADA: &str = "did:plc:ada";
const BOB: &str = "did:plc:bob";
const EVE: &str = "did:web:eve.example";

async fn people(rig: &Rig) {
    rig.apply([profile(ADA, "Ada King-Noel, \"Countess\" of Lovelace").rev(1)]).await;
    rig.apply([profile(BOB, "Bob O'Neil 100% \u{1f496} Ärger").rev(1)]).await;
    rig.apply([profile(EVE, "Eve").rev(1), identity(EVE, 1, Some("eve.example.com"))]).await;
    rig.apply([identity(ADA, 1, Some("ada-k.example.com"))]).await;
}

/// Every word of the query begins a word of the name; a name that changes is found by the new one.
pub async fn names_are_found_by_the_beginnings_of_their_words(mut rig: Rig) {
    people(&rig).await;
    for _ in 0..2 {
        for query in [
            "ada",
            "ADA",
            " lovel ",
            "ada love",
            "love  ada",
            "king-noel",
            "Countess",
            "\"countess\"",
        ] {
            assert_eq!(found(&rig, query).await, [ADA], "{query}");
        }
        for query in ["da", "ada bob", "lovelacex", "ada lovelace x"] {
            assert!(found(&rig, query).await.is_empty(), "{query}");
        }
        assert_eq!(found(&rig, "ärg").await, [BOB]);
        assert_eq!(found(&rig, "ÄRGER").await, [BOB]);
        assert_eq!(found(&rig, "100").await, [BOB]);
        rig.reopen().await;
    }
    rig.apply([profile(ADA, "Augusta").rev(2)]).await;
    assert!(found(&rig, "lovelace").await.is_empty());
    assert_eq!(found(&rig, "augusta").await, [ADA]);
    rig.apply([profile(ADA, "Augusta").rev(3).delete()]).await;
    assert!(found(&rig, "augusta").await.is_empty());
    rig.apply([deleted(BOB, 5)]).await;
    assert!(found(&rig, "bob").await.is_empty());
}

/// With or without `@`; handles in any case.
pub async fn handles_and_dids_are_found_by_their_beginnings(rig: Rig) {
    people(&rig).await;
    for query in
        ["ada-k", "ada-k.example.com", "@ada-k.ex", "ADA-K.EXAMPLE", "did:plc:ada", "did:plc:a"]
    {
        assert_eq!(found(&rig, query).await, [ADA], "{query}");
    }
    assert_eq!(found(&rig, "did:").await, [ADA, BOB, EVE]);
    assert!(found(&rig, "plc:ada").await.is_empty());
    rig.apply([identity(ADA, 2, Some("other.example.com"))]).await;
    assert!(found(&rig, "ada-k").await.is_empty());
    assert_eq!(found(&rig, "@other").await, [ADA]);
    rig.apply([identity(ADA, 3, None)]).await;
    assert!(found(&rig, "other").await.is_empty());
}

/// Ascending numbers, nobody twice, nobody left out.
pub async fn pages_follow_one_another(rig: Rig) {
    let all = (0..25).map(|n| profile(&format!("did:plc:p{n}"), "Pat").rev(1));
    rig.apply(all).await;
    for query in [None, Some("pat"), Some("did:plc:p"), Some("")] {
        let (mut seen, mut after): (Vec<EntityId>, _) = (Vec::new(), None);
        loop {
            let page = rig.store.search(query, after, 10).await.unwrap();
            assert!(page.len() <= 10 && page.is_sorted());
            let Some(last) = page.last() else { break };
            assert!(after.is_none_or(|after| page[0] > after));
            after = Some(*last);
            seen.extend(page);
        }
        assert_eq!(seen.len(), 25, "{query:?}");
    }
}

/// Nothing in a query is a wildcard, an operator or the end of a text.
pub async fn hostile_queries_are_only_words(rig: Rig) {
    people(&rig).await;
    for query in [
        "%",
        "_",
        "*",
        "?",
        "'",
        "\"",
        "\\",
        ";",
        "--",
        "a%",
        "ada%",
        "ad_",
        "ada*",
        "%ada%",
        "*ada",
        "' OR 1=1 --",
        "ada' OR 'x'='x",
        "\") OR (\"1",
        "\u{0}",
        "ada\u{0}",
        "\u{10ffff}",
        "\u{feff}",
        "\u{1f496}",
        "NEAR(",
        "^ada",
        "ada AND",
        "-ada",
        ":",
        "@",
        "$9",
        "?9",
        "\u{202e}",
    ] {
        // What is no letter is cut from the ends of a word; the rest is looked for.
        let letters = query.trim_matches(|c: char| !c.is_alphanumeric());
        let expected: &[&str] = if ["a", "ad", "ada"].contains(&letters) { &[ADA] } else { &[] };
        assert_eq!(found(&rig, query).await, expected, "{query:?}");
    }
    let long = "ada ".repeat(20_000);
    assert_eq!(found(&rig, &long).await, [ADA]);
    let different: String = (0..5_000).map(|n| format!("w{n} ")).collect();
    assert!(found(&rig, &different).await.is_empty());
    assert!(found(&rig, &"x".repeat(1_000_000)).await.is_empty());
    assert!(rig.store.entity("did:plc:a%").await.unwrap().is_none());
    assert!(rig.store.entity("' OR 1=1").await.unwrap().is_none());
    assert!(rig.store.entity_by_handle("%").await.unwrap().is_none());
    assert!(rig.store.entities(&[EntityId(0), EntityId(u32::MAX)]).await.unwrap().is_empty());
}
