//! Paths, neighbours and entities.

use super::*;

#[test]
fn paths_come_strongest_first_and_none_is_an_empty_list() {
    let world = World::new();
    let answer = world.good("net.rhiz.graph.findPath", "from=did:plc:alice&to=did:plc:carol");
    let paths: Vec<_> = answer["paths"].as_array().unwrap().iter().map(shape).collect();
    // Last interaction unknown: d = 0.5. One-sided: m = 0.8. So 0.57·0.5·0.8 = 0.228 directly, and
    // over Bob (0.8·0.5)·(0.6·0.5) = 0.12; the attesters are strangers and move nothing.
    assert_eq!(
        paths,
        [
            (23, 1, vec!["alice 57 carol".to_owned()]),
            (12, 2, vec!["alice 80 bob".to_owned(), "bob 60 carol".to_owned()]),
        ]
    );
    assert_eq!(answer["paths"][1]["hops"][0]["relationshipUri"], world.alice_bob);
    assert!(answer["paths"][1]["hops"][0]["relationshipCid"].is_string());
    for (query, totals) in [
        ("from=alice.example.org&to=did:plc:carol", vec![23, 12]),
        ("from=did:plc:alice&to=did:plc:carol&limit=1", vec![23]),
        ("from=did:plc:alice&to=did:plc:carol&maxHops=1", vec![23]),
        ("from=did:plc:alice&to=did:plc:carol&minStrength=58", vec![12]),
        ("from=did:plc:alice&to=did:plc:carol&minStrength=61", vec![]),
        ("from=did:plc:alice&to=did:plc:carol&excludeDids=did:plc:bob", vec![23]),
        (
            "from=did:plc:alice&to=did:plc:carol&excludeDids=did:plc:x&excludeDids=did:plc:bob",
            vec![23],
        ),
        ("from=did:plc:alice&to=did:plc:carol&relationshipTypes=family", vec![]),
        (
            "from=did:plc:alice&to=did:plc:carol&relationshipTypes=family&relationshipTypes=professional",
            vec![23, 12],
        ),
    ] {
        let answer = world.good("net.rhiz.graph.findPath", query);
        let found: Vec<_> =
            answer["paths"].as_array().unwrap().iter().map(|p| &p["totalStrength"]).collect();
        assert_eq!(found, totals.iter().collect::<Vec<_>>(), "{query}");
    }
}

pub(super) fn shape(path: &Value) -> (i64, i64, Vec<String>) {
    let name = |v: &Value| v.as_str().unwrap().replace("did:plc:", "");
    let hop = |h: &Value| format!("{} {} {}", name(&h["from"]), h["strength"], name(&h["to"]));
    (
        path["totalStrength"].as_i64().unwrap(),
        path["distance"].as_i64().unwrap(),
        path["hops"].as_array().unwrap().iter().map(hop).collect(),
    )
}

#[test]
fn neighbours_come_by_trust_page_by_page_and_who_is_anonymous_does_not() {
    let world = World::new();
    let names = |answer: &Value| -> Vec<String> {
        let all = answer["neighbors"].as_array().unwrap().iter();
        all.map(|n| n["entity"]["did"].as_str().unwrap().replace("did:plc:", "")).collect()
    };
    const METHOD: &str = "net.rhiz.graph.getNeighbors";
    let all = world.good(METHOD, "did=did:plc:alice");
    assert_eq!(names(&all), ["bob", "carol", "dave"]);
    assert_eq!(all.get("cursor"), None);
    assert_eq!(all["neighbors"][2]["type"], "family");
    let mut seen = Vec::new();
    let mut query = "did=did:plc:alice&limit=1".to_owned();
    loop {
        let page = world.good(METHOD, &query);
        seen.extend(names(&page));
        let Some(cursor) = page["cursor"].as_str() else { break };
        query = format!("did=did:plc:alice&limit=1&cursor={cursor}");
    }
    assert_eq!(seen, ["bob", "carol", "dave"]);
    assert_eq!(names(&world.good(METHOD, "did=did:plc:bob")), ["alice", "carol"], "not frank");
    let strong = world.good(METHOD, "did=did:plc:alice&minStrength=58");
    assert_eq!(names(&strong), ["bob", "dave"]);
    let family = world.good(METHOD, "did=did:plc:alice&relationshipTypes=family");
    assert_eq!(names(&family), ["dave"]);
    let (_, error, message) = world.refused(METHOD, "did=did:plc:alice&cursor=nonsense");
    assert_eq!(error, "InvalidRequest");
    assert!(message.contains("cursor"), "{message}");
}

#[test]
fn an_entity_is_shown_with_all_that_is_known_of_it() {
    let world = World::new();
    let expected = json!({
        "did": "did:plc:alice", "handle": "alice.example.org", "displayName": "Alice Å",
        "entityType": "person", "bio": "Knows Bob.", "avatarUrl": "https://example.org/a.png",
        "verified": true, "createdAt": "2024-02-03T04:05:06.789Z",
    });
    for actor in ["did:plc:alice", "alice.example.org"] {
        let mut shown = world.good("net.rhiz.entity.getProfile", &format!("actor={actor}"));
        assert!(shown.as_object_mut().unwrap().remove("updatedAt").is_some());
        assert_eq!(shown, expected, "{actor}");
    }
    let bob = world.good("net.rhiz.entity.getProfile", "actor=did:plc:bob");
    assert_eq!(
        (&bob["handle"], &bob["displayName"], &bob["entityType"], &bob["createdAt"]),
        (
            &json!("handle.invalid"),
            &json!(""),
            &json!("person"),
            &json!("2024-01-01T00:00:00.000Z")
        )
    );
    // Only an attestation names her: she is somebody all the same.
    world.good("net.rhiz.entity.getProfile", "actor=did:plc:hal");
}
