//! Scores, attestations and records.

use super::*;

#[test]
fn scores_are_those_of_rest_rounded_half_up() {
    let world = World::new();
    let client = world.server.anybody();
    let uri = &world.alice_bob;
    let rest = client
        .get(&format!("/api/v1/relationships/{}", uri.replace(':', "%3A").replace('/', "%2F")))
        .expect(200);
    let score = world.good("net.rhiz.conviction.getScore", &format!("uri={uri}"));
    assert_eq!(score["uri"], *uri);
    let conviction = &score["conviction"];
    for (own, other) in [
        ("score", "score"),
        ("attestationCount", "attestation_count"),
        ("verifyCount", "verify_count"),
        ("disputeCount", "dispute_count"),
        ("strengthenCount", "strengthen_count"),
        ("weakenCount", "weaken_count"),
        ("trend", "trend"),
    ] {
        assert_eq!(conviction[own], rest["conviction"][other], "{own}");
    }
    assert_eq!(conviction["attestationCount"], 4, "of one attester the newest counts");
    let nobody =
        world.good("net.rhiz.conviction.getScore", &format!("uri={}", self::uri("bob", RECORD, 2)));
    assert_eq!(
        (&nobody["conviction"]["score"], nobody["conviction"].get("lastUpdated")),
        (&json!(0), None)
    );

    let rest = client.get("/api/v1/analytics/trust-metrics/did:plc:alice").expect(200);
    let metrics = world.good("net.rhiz.trust.getMetrics", "did=did:plc:alice");
    for (own, other) in [
        ("trustScore", "trust_score"),
        ("reputation", "reputation"),
        ("reciprocity", "reciprocity"),
        ("consistency", "consistency"),
        ("verificationRatio", "verification_ratio"),
        ("network", "network"),
        ("standing", "standing"),
    ] {
        let rounded = (rest[other].as_f64().unwrap() * 100.0 + 0.5).floor();
        assert_eq!(metrics[own].as_f64().unwrap(), rounded, "{own}");
    }
    assert_eq!(metrics["relationshipCount"], rest["relationship_count"]);
    assert_eq!(metrics["did"], "did:plc:alice");
}

#[test]
fn attestations_come_newest_first_and_a_new_one_moves_no_page() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.conviction.listAttestations";
    let uris = |answer: &Value| -> Vec<String> {
        let all = answer["attestations"].as_array().unwrap().iter();
        all.map(|a| a["uri"].as_str().unwrap().to_owned()).collect()
    };
    let on = format!("uri={}", world.alice_bob);
    let expected: Vec<String> = world.attestations.iter().rev().cloned().collect();
    let all = world.good(METHOD, &on);
    assert_eq!(uris(&all), expected);
    let first = &all["attestations"][0];
    assert_eq!(first["attester"]["did"], "did:plc:jon");
    assert_eq!(first["record"]["evidence"], "secret evidence", "of a public relationship");
    assert_eq!(first["attesterReputation"], 50, "nothing is known of him");

    let page = world.good(METHOD, &format!("{on}&limit=2"));
    assert_eq!(uris(&page), expected[..2]);
    let mut story = Story::default();
    story.attests(20, "kim", &world.alice_bob, "verify", 50);
    story.tell(&world.server);
    let cursor = page["cursor"].as_str().unwrap();
    let page = world.good(METHOD, &format!("{on}&limit=2&cursor={cursor}"));
    assert_eq!(uris(&page), expected[2..4], "neither repeated nor left out");
    let cursor = page["cursor"].as_str().unwrap();
    let page = world.good(METHOD, &format!("{on}&limit=2&cursor={cursor}"));
    assert_eq!((uris(&page), page.get("cursor")), (expected[4..].to_vec(), None));

    let disputes = world.good(METHOD, &format!("{on}&type=dispute"));
    assert_eq!(uris(&disputes), [world.attestations[2].clone()]);
    let sure = world.good(METHOD, &format!("{on}&minConfidence=90&type=verify"));
    assert_eq!(uris(&sure), [world.attestations[1].clone(), world.attestations[0].clone()]);
    let network = world.good(METHOD, &format!("uri={}", world.dave_alice));
    assert_eq!(uris(&network).len(), 1);
    assert_eq!(network["attestations"][0]["record"].get("evidence"), None, "not for anybody");
}

#[test]
fn a_record_is_shown_without_the_texts_that_are_not_for_all() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.relationship.getRecord";
    let shown = world.ask(METHOD, &format!("uri={}", world.dave_alice));
    assert!(!shown.text().contains("secret"), "{}", shown.text());
    let shown = world.good(METHOD, &format!("uri={}", world.dave_alice));
    assert_eq!(
        (&shown["textsHidden"], &shown["visibility"], &shown["record"]["strength"]),
        (&json!(true), &json!("network"), &json!(70))
    );
    assert_eq!(shown["owner"], "did:plc:dave");
    assert_eq!(shown["subject"], "did:plc:alice");
    assert_eq!(shown["trustFactors"]["mutuality"], 80);

    // What its author wrote is shown as it is, also what no lexicon knows.
    let frank = world.ask(METHOD, &format!("uri={}", uri("frank", RECORD, 8))).expect(200);
    assert_eq!(
        (&frank["textsHidden"], &frank["record"]["context"], &frank["record"]["note"]),
        (&json!(false), &json!("secret words"), &json!("secret note"))
    );
}
