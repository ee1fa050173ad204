//! REST's predictions, what fades, introductions and rankings: what they answer and refuse.

use crate::{
    server::Server,
    xrpc::{Story, World},
};
use jiff::SignedDuration;
use rhiz_domain::{Clock, clock::SystemClock};
use serde_json::{Value, json};

const PREFIX: &str = "/api/v1/analytics";

fn ask(world: &World, query: &str) -> Value {
    world.server.anybody().get(&format!("{PREFIX}/{query}")).expect(200)
}

/// Each is refused with a problem of this status that names what is wrong.
fn refused(world: &World, cases: &[(&str, u16, &str)]) {
    for (query, status, says) in cases {
        let answer = world.server.anybody().get(&format!("{PREFIX}/{query}"));
        assert_eq!(answer.status, *status, "{query}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{query}");
        assert!(answer.text().contains(says), "{query}: {}", answer.text());
    }
}

fn near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-9
}

#[test]
fn a_prediction_has_an_interval_addends_and_an_illustration() {
    let world = World::new();
    let pair = "predict?from=did:plc:alice&to=did:plc:carol";
    let answer = ask(&world, &format!("{pair}&min_strength=0.5"));
    let (low, high) = (answer["interval"]["low"].as_f64(), answer["interval"]["high"].as_f64());
    let estimate = answer["estimate"].as_f64();
    assert!(low < estimate && estimate < high, "{answer}");
    assert!(near(&answer["interval"]["share"], 0.8) && near(&answer["stated"], 0.57), "{answer}");
    let sum: f64 = answer["addends"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert!(near(&answer["estimate"], sum), "{answer}");
    assert!(near(&answer["path"]["total_strength"], 0.228), "{answer}");
    let unstated = ask(&world, "predict?from=did:plc:carol&to=did:plc:dave&min_strength=1");
    assert_eq!((&unstated["stated"], &unstated["path"]), (&Value::Null, &Value::Null));
    refused(
        &world,
        &[
            ("predict?from=did:plc:alice", 400, "to"),
            ("predict?from=did:plc:alice&to=did:plc:alice", 422, "to"),
            ("predict?from=alice&to=did:plc:carol", 422, "from"),
            ("predict?from=did:plc:alice&to=did:plc:nobody", 404, "did:plc:nobody"),
            ("predict?from=did:plc:alice&to=did:plc:erin", 404, "did:plc:erin"),
        ],
    );
}

#[test]
fn what_fades_is_named_with_its_day() {
    let world = World::new();
    let met = SystemClock::default().now() - SignedDuration::from_hours(24 * 60);
    let mut story = Story::default();
    story.states_of_late(1, "ute", "ann", 50, met);
    story.tell(&world.server);
    let answer = ask(&world, "at-risk/did:plc:ute");
    // 0.5·0.8·e^(−n/365.25) < 0.3 from n = 106 on.
    let below = met + SignedDuration::from_hours(24 * 106);
    let found = answer["relationships"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{answer}");
    assert_eq!(
        (&found[0]["entity_id"], &found[0]["below_on"]),
        (&json!("did:plc:ann"), &json!(below.to_string()[..10]))
    );
    assert_eq!((&answer["entity_id"], &answer["days"]), (&json!("did:plc:ute"), &json!(90)));
    assert!(near(&answer["threshold"], 0.3), "{answer}");
    // Page by page; a page that holds all has no cursor.
    let mut story = Story::default();
    for (n, other) in ["ben", "cyn", "dan"].into_iter().enumerate() {
        story.states_of_late(2 + n as u16, "ute", other, 50, met);
    }
    story.tell(&world.server);
    let whole = ask(&world, "at-risk/did:plc:ute?limit=4");
    assert_eq!((whole["relationships"].as_array().unwrap().len(), whole.get("cursor")), (4, None));
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ask(&world, &format!("at-risk/did:plc:ute?limit=3{cursor}"));
        paged.extend(page["relationships"].as_array().unwrap().clone());
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(paged), whole["relationships"]);
    for none in ["days=30", "threshold=0.2", "threshold=0.39"] {
        let answer = ask(&world, &format!("at-risk/did:plc:ute?{none}"));
        assert_eq!(answer["relationships"], json!([]), "{none}");
    }
    refused(
        &world,
        &[
            ("at-risk/did:plc:ute?threshold=1.01", 422, "threshold"),
            ("at-risk/did:plc:ute?threshold=NaN", 422, "threshold"),
            ("at-risk/did:plc:ute?threshold=x", 400, "query parameters"),
            ("at-risk/did:plc:ute?days=0", 422, "days"),
            ("at-risk/did:plc:ute?days=3651", 422, "days"),
            ("at-risk/did:plc:ute?limit=0", 422, "limit"),
            ("at-risk/did:plc:ute?limit=101", 422, "limit"),
            ("at-risk/did:plc:ute?cursor=x", 422, "cursor"),
            ("at-risk/did:plc:ute?cursor=WzEsMl0", 422, "cursor"),
            ("at-risk/did:plc:nobody", 404, "did:plc:nobody"),
        ],
    );
}

#[test]
fn who_could_introduce_is_ranked_by_willingness_and_what_is_beyond() {
    let world = World::new();
    let pair = "introductions?from=did:plc:alice&to=did:plc:carol";
    let answer = ask(&world, &format!("{pair}&min_strength=0.5"));
    let found = answer["introductions"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["through"]), (1, &json!("did:plc:bob")), "{answer}");
    assert!(near(&found[0]["willingness"], 0.9) && near(&found[0]["score"], 0.27), "{answer}");
    assert_eq!(found[0]["path"]["distance"], 2);
    let none = ask(&world, &format!("{pair}&max_hops=1"));
    assert_eq!(none["introductions"], json!([]));
    refused(
        &world,
        &[
            (&format!("{pair}&k=11"), 422, "k"),
            (&format!("{pair}&max_hops=0"), 422, "max_hops"),
            (&format!("{pair}&min_strength=1.5"), 422, "min_strength"),
            ("introductions?to=did:plc:carol", 400, "from"),
            ("introductions?from=did:plc:bob&to=did:plc:bob", 422, "to"),
            ("introductions?from=did:plc:bob&to=did:plc:nobody", 404, "did:plc:nobody"),
        ],
    );
}

#[test]
fn a_ranking_is_by_visits_and_names_through_whom() {
    let world = World::new();
    let mut story = Story::default();
    story.states(40, "ute", "ann", 80);
    story.states(41, "ann", "ben", 20);
    story.tell(&world.server);
    let answer = ask(&world, "ranking/did:plc:ute");
    assert_eq!(answer["viewer"], "did:plc:ute");
    let found = answer["ranking"].as_array().unwrap();
    // A walk ends with 15 % at each step, and there is one way only: 0.85, 0.85².
    let expected = [("ann", 0.85, "ute"), ("ben", 0.7225, "ann")];
    assert_eq!(found.len(), expected.len(), "{answer}");
    for (ranked, (who, visits, through)) in found.iter().zip(expected) {
        assert_eq!(ranked["entity_id"], format!("did:plc:{who}"));
        assert!((ranked["visits"].as_f64().unwrap() - visits).abs() < 0.04, "{ranked}");
        let through = json!({"entity_id": format!("did:plc:{through}"), "share": 1.0});
        assert_eq!(ranked["through"], through);
    }
    let first = ask(&world, "ranking/did:plc:ute?limit=1");
    assert_eq!(first["ranking"], json!([found[0]]));
    refused(
        &world,
        &[
            ("ranking/did:plc:ute?limit=0", 422, "limit"),
            ("ranking/did:plc:ute?limit=101", 422, "limit"),
            ("ranking/did:plc:ute?limit=x", 400, "query parameters"),
            ("ranking/did:plc:nobody", 404, "did:plc:nobody"),
        ],
    );
}

/// What was learned as it came is learned anew in the order of dates at the next start: another
/// prediction of the same version and day, which nobody takes for the one they have kept.
#[test]
fn a_prediction_learned_anew_is_not_the_one_that_was_kept() {
    let server = World::new().server;
    let mut story = Story::default();
    // They come in the opposite of the order in which they are learned anew: that of their URIs.
    for (n, to) in ["ann", "bob", "cem", "dot", "eve", "fay"].into_iter().enumerate().rev() {
        story.states(1 + n as u16, "ute", to, 15 * n as u8);
        story.states(7 + n as u16, to, "vic", 90 - 15 * n as u8);
    }
    story.tell(&server);
    let pair = "predict?from=did:plc:ute&to=did:plc:vic";
    let estimate = |server: &Server| {
        let answer = server.anybody().get(&format!("{PREFIX}/{pair}")).expect(200);
        answer["estimate"].as_f64().unwrap()
    };
    let kept = estimate(&server);
    // Nor is how willing somebody would be who has stated nothing.
    let ways = "from=did:plc:ute&to=did:plc:vic&minStrength=0";
    let paths = [
        format!("/xrpc/net.rhiz.trust.{pair}"),
        format!("/xrpc/net.rhiz.graph.listIntroductions?{ways}"),
    ];
    let tags = |server: &Server| {
        paths
            .each_ref()
            .map(|path| server.anybody().get(path).header("etag").expect("a tag").to_owned())
    };
    let again = |server: &Server, tags: &[String; 2]| {
        [0, 1].map(|n| {
            let known = [("If-None-Match", tags[n].as_str())];
            server.anybody().get_with(&paths[n], &known).status
        })
    };
    let first = tags(&server);
    assert_eq!(again(&server, &first), [304; 2]);

    let server = server.kill().serve();
    assert_ne!(estimate(&server), kept, "the order of learning decides nothing here");
    assert_eq!(again(&server, &first), [200; 2]);
    let second = tags(&server);
    assert_eq!(again(&server, &second), [304; 2]);

    // Learned anew from the same: the same.
    let server = server.kill().serve();
    assert_eq!(again(&server, &second), [304; 2]);
}
