//! Every score can be taken apart, here and by REST.

use super::{World, did};
use serde_json::{Value, json};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// In thousandths, as this interface rounds.
fn thousandths(value: &Value) -> i64 {
    ((number(value) * 1e12).round() / 1e9 + 0.5).floor() as i64
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn a_conviction_can_be_recomputed_from_its_explanation() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.conviction.getScore";
    let uri = &world.alice_bob;
    let told = world.good(METHOD, &format!("uri={uri}&explain=true"));
    let plain = world.good(METHOD, &format!("uri={uri}"));
    assert_eq!((&told["conviction"], plain.get("explanation")), (&plain["conviction"], None));

    let path = format!("/api/v1/relationships/{uri}");
    let rest = world.server.anybody().get(&format!("{path}?explain=true")).expect(200);
    let without = world.server.anybody().get(&path).expect(200);
    assert_eq!(without["conviction"].get("explanation"), None);
    let rest = &rest["conviction"];
    let explanation = &rest["explanation"];
    let (mut sum, mut absolute) = (0.0, 0.0);
    for weighed in list(explanation, "attestations") {
        let of = |name: &str| number(&weighed[name]);
        let base = match weighed["attestation_type"].as_str().unwrap() {
            "verify" => 1.0,
            "dispute" => -1.5,
            "strengthen" => 0.5,
            _ => -0.5,
        };
        let reputation = 0.5 + 1.5 * of("standing");
        let weight = base * reputation * 0.5f64.powf(of("days") / 180.0) * of("confidence") / 100.0;
        assert!((weight - of("weight")).abs() < 1e-9, "{weighed}");
        assert_eq!((of("base"), of("reputation")), (base, reputation));
        sum += weight;
        absolute += weight.abs();
    }
    assert!((sum - number(&explanation["sum"])).abs() < 1e-9, "{explanation}");
    assert!((absolute - number(&explanation["sum_of_absolutes"])).abs() < 1e-9, "{explanation}");
    let score = 50.0 + 50.0 * sum / (absolute + 1.0);
    assert_eq!(number(&rest["score"]), (score + 0.5).floor());
    assert_eq!(
        (&explanation["other_attestations"], number(&explanation["sum_of_others"])),
        (&json!(0), 0.0)
    );

    // Gus attested twice: the newer one counts. The heaviest comes first.
    let mine = list(&told["explanation"], "attestations");
    assert_eq!(mine.len(), 4);
    let gus = mine.iter().find(|w| w["attester"] == did("gus")).unwrap();
    assert_eq!((&gus["uri"], &gus["confidence"]), (&json!(world.attestations[1]), &json!(95)));
    assert!(mine.iter().map(|w| -w["weight"].as_i64().unwrap().abs()).is_sorted(), "{told}");
    for (a, b) in mine.iter().zip(list(explanation, "attestations")) {
        assert_eq!(
            (&a["uri"], &a["attester"], &a["days"]),
            (&b["uri"], &b["attester_did"], &b["days"])
        );
        assert_eq!(a["weight"].as_i64(), Some(thousandths(&b["weight"])));
    }
    assert_eq!(told["explanation"]["sum"].as_i64(), Some(thousandths(&explanation["sum"])));

    // Nobody attests: nothing to add up. What is private is not there, explained or not.
    let none =
        world.good(METHOD, &format!("uri={}&explain=true", super::uri("bob", super::RECORD, 2)));
    assert_eq!(none["explanation"]["attestations"], json!([]));
    for explain in ["", "&explain=true"] {
        let (status, name, _) =
            world.refused(METHOD, &format!("uri={}{explain}", world.erin_alice));
        assert_eq!((status, name.as_str()), (400, "RecordNotFound"));
    }
    let private = format!("/api/v1/relationships/{}?explain=true", world.erin_alice);
    assert_eq!(world.server.anybody().get(&private).status, 404);
}

#[test]
fn a_trust_score_is_the_sum_of_its_addends_and_names_what_moved_it() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.trust.getMetrics";
    let told = world.good(METHOD, "did=did:plc:bob&explain=true");
    let path = "/api/v1/analytics/trust-metrics/did:plc:bob?explain=true";
    let rest = world.server.anybody().get(path).expect(200);
    let (mine, other) = (&told["explanation"], &rest["explanation"]);
    let sum: f64 = list(other, "addends").iter().map(|a| number(&a["contribution"])).sum();
    assert!((sum - number(&rest["trust_score"])).abs() < 1e-9, "{rest}");
    let names: Vec<&Value> = list(mine, "addends").iter().map(|a| &a["name"]).collect();
    assert_eq!(names, ["reputation", "reciprocity", "consistency", "verificationRatio", "network"]);
    for (a, b) in list(mine, "addends").iter().zip(list(other, "addends")) {
        assert_eq!(a["contribution"].as_i64(), Some(thousandths(&b["contribution"])));
    }
    let (movers, theirs) = (list(mine, "relationships"), list(other, "relationships"));
    assert_eq!(movers.len(), 3, "Alice, Carol, and one who will not be named: {told}");
    for (a, b) in movers.iter().zip(theirs) {
        assert_eq!(a["effect"].as_i64(), Some(thousandths(&b["effect"])));
        assert_eq!((&a["did"], &a["relationshipUri"]), (&b["entity_id"], &b["relationship_id"]));
    }
    // Nor is what would tell who it is.
    let hidden: Vec<&Value> = movers.iter().filter(|m| m.get("did").is_none()).collect();
    assert_eq!(hidden.len(), 1);
    assert_eq!((hidden[0].get("relationshipUri"), hidden[0].get("voice")), (None, None));
    assert!(!told.to_string().contains("frank"), "{told}");
}
