//! Predictions, what fades, who could introduce, whom to trust through whom.

use super::{Story, World, did};
use jiff::{SignedDuration, Timestamp};
use rhiz_domain::{Clock, clock::SystemClock, syntax::format_datetime};
use serde_json::{Value, json};

/// Midnight, so many days before today.
fn days_ago(days: i64) -> Timestamp {
    let today = SystemClock::default().now().as_second().div_euclid(86_400);
    Timestamp::from_second((today - days) * 86_400).unwrap()
}

/// As this interface rounds.
fn hundredths(value: &Value) -> i64 {
    ((value.as_f64().unwrap() * 1e12).round() / 1e10 + 0.5).floor() as i64
}

/// Mia states little of everybody, Guy much; of Zoe both say more than of others, and she states
/// Mia.
fn opinions(world: &World) {
    let mut story = Story::default();
    for (n, (other, little, much)) in (50..).zip([("x", 5, 80), ("y", 5, 80), ("zoe", 30, 100)]) {
        story.states_of_late(n, "mia", other, little, days_ago(1));
        story.states_of_late(n, "guy", other, much, days_ago(1));
    }
    story.states_of_late(60, "zoe", "mia", 100, days_ago(1));
    story.tell(&world.server);
}

#[test]
fn a_prediction_is_that_of_rest_rounded_half_up_and_tells_what_it_is_made_of() {
    let world = World::new();
    opinions(&world);
    const METHOD: &str = "net.rhiz.trust.predict";
    for (from, to) in [("alice", "carol"), ("mia", "zoe"), ("guy", "zoe"), ("guy", "mia")] {
        let pair = format!("from={}&to={}", did(from), did(to));
        let own = world.good(METHOD, &pair);
        let path = format!("/api/v1/analytics/predict?{pair}&max_hops=6&min_strength=0.5");
        let rest = world.server.anybody().get(&path).expect(200);
        for pointer in [
            "/estimate",
            "/interval/low",
            "/interval/high",
            "/addends/mean",
            "/addends/rater",
            "/addends/ratee",
            "/addends/reciprocity",
            "/stated",
            "/path/total_strength",
        ] {
            let mine =
                own.pointer(&pointer.replace("total_s", "totalS")).map(|v| v.as_i64().unwrap());
            let other = rest.pointer(pointer).filter(|v| !v.is_null()).map(hundredths);
            assert_eq!(mine, other, "{pair} {pointer}");
        }
        assert_eq!((&own["from"], &own["to"]), (&json!(did(from)), &json!(did(to))));
        let addend = |name: &str| rest["addends"][name].as_f64().unwrap();
        let sum = addend("mean") + addend("rater") + addend("ratee") + addend("reciprocity");
        assert!((rest["estimate"].as_f64().unwrap() - sum.clamp(0.0, 1.0)).abs() < 1e-9, "{rest}");
    }
    let of =
        |from: &str, to: &str| world.good(METHOD, &format!("from={}&to={}", did(from), did(to)));
    let addend = |answer: &Value, name: &str| answer["addends"][name].as_i64().unwrap();
    let (mia, guy) = (of("mia", "zoe"), of("guy", "zoe"));
    assert!(addend(&mia, "rater") < -5 && addend(&guy, "rater") > 5, "{mia} {guy}");
    assert!(addend(&mia, "ratee") > 5 && addend(&mia, "reciprocity") > 5, "{mia}");
    assert_eq!((addend(&guy, "reciprocity"), &mia["stated"]), (0, &json!(30)));
    assert!(mia["interval"]["low"].as_i64() < mia["estimate"].as_i64(), "{mia}");

    let alice = of("alice", "carol");
    assert_eq!((&alice["stated"], &alice["path"]["totalStrength"]), (&json!(57), &json!(23)));
    assert_eq!(alice["path"]["hops"][0]["to"], "did:plc:carol");
    // No hop is as strong as 50; what Frank states is not to be told.
    assert_eq!((of("mia", "guy").get("stated"), of("mia", "guy").get("path")), (None, None));
    assert_eq!((of("frank", "bob").get("stated"), of("frank", "bob").get("path")), (None, None));
    let by_handle = world.good(METHOD, "from=alice.example.org&to=did:plc:carol");
    assert_eq!(by_handle, alice);
}

#[test]
fn what_fades_is_named_with_the_day_on_which_it_is_below() {
    let world = World::new();
    let mut story = Story::default();
    story.states_of_late(1, "ute", "ann", 50, days_ago(60));
    story.states_of_late(2, "ute", "ben", 50, days_ago(80));
    story.states_of_late(3, "ute", "cyn", 100, days_ago(0));
    story.states_of_late(4, "ute", "dan", 30, days_ago(0));
    story.states(5, "ute", "eve", 90);
    story.tell(&world.server);
    const METHOD: &str = "net.rhiz.trust.listAtRisk";
    let shown = |query: &str| -> Vec<(String, i64, String)> {
        let answer = world.good(METHOD, &format!("did=did:plc:ute{query}"));
        let all = answer["relationships"].as_array().unwrap().iter();
        all.map(|r| {
            let text = |name: &str| r[name].as_str().unwrap().to_owned();
            assert!(text("relationshipUri").starts_with("at://did:plc:ute/"), "{r}");
            (text("did").replace("did:plc:", ""), r["trust"].as_i64().unwrap(), text("belowOn"))
        })
        .collect()
    };
    // One-sided: 0.5·0.8·e^(−n/365.25) < 0.3 from n = 106 days after the last meeting on, and for
    // Cyn 0.8·e^(−n/365.25) < 0.3 from n = 359. Dan is below already, of Eve no meeting is known.
    let on =
        |last: i64, n: i64| format_datetime(days_ago(last) + SignedDuration::from_hours(24 * n));
    let ben = ("ben".to_owned(), 32, on(80, 106));
    let ann = ("ann".to_owned(), 34, on(60, 106));
    let cyn = ("cyn".to_owned(), 80, on(0, 359));
    assert!(ben.2.ends_with("T00:00:00.000Z"), "{ben:?}");
    assert_eq!(shown(""), [ben.clone(), ann.clone()]);
    assert_eq!(shown("&days=30"), std::slice::from_ref(&ben));
    assert_eq!(shown("&days=3650"), [ben, ann, cyn]);
    let whole = world.good(METHOD, "did=did:plc:ute&days=3650");
    assert_eq!(whole.get("cursor"), None);
    let first = world.good(METHOD, "did=did:plc:ute&days=3650&limit=1");
    let cursor = first["cursor"].as_str().unwrap();
    let rest = world.good(METHOD, &format!("did=did:plc:ute&days=3650&limit=2&cursor={cursor}"));
    let list = |page: &Value| page["relationships"].as_array().unwrap().clone();
    assert_eq!([list(&first), list(&rest)].concat(), list(&whole));
    assert_eq!((list(&first).len(), rest.get("cursor")), (1, None));
    let names = |query: &str| shown(query).into_iter().map(|(did, ..)| did).collect::<Vec<_>>();
    assert_eq!(names("&threshold=33&days=20"), ["ann"]);
    assert_eq!(names("&threshold=0&days=3650"), [""; 0]);
}

#[test]
fn who_could_introduce_comes_with_how_willing_they_are_and_the_way() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.graph.listIntroductions";
    let answer = world.good(METHOD, "from=did:plc:alice&to=did:plc:carol");
    let all = answer["introductions"].as_array().unwrap();
    assert_eq!(all.len(), 1, "who knows her directly needs nobody else for that: {answer}");
    // Bob states 90 of Alice; between him and Carol it is 0.6·0.5 = 0.3.
    assert_eq!(
        (&all[0]["through"], &all[0]["willingness"], &all[0]["score"]),
        (&json!("did:plc:bob"), &json!(90), &json!(27))
    );
    let path = super::people::shape(&all[0]["path"]);
    assert_eq!(path, (12, 2, vec!["alice 80 bob".to_owned(), "bob 60 carol".to_owned()]));
    assert!(all[0]["path"]["hops"][0]["relationshipCid"].is_string());

    // Alice states nothing of Dave: what she would state.
    let answer = world.good(METHOD, "from=did:plc:dave&to=did:plc:bob&maxHops=2");
    let said = world.good("net.rhiz.trust.predict", "from=did:plc:alice&to=did:plc:dave");
    let first = &answer["introductions"][0];
    assert_eq!((&first["through"], first.get("stated")), (&json!("did:plc:alice"), None));
    assert_eq!((&first["willingness"], said.get("stated")), (&said["estimate"], None));
    for query in ["&maxHops=1", "&minStrength=61"] {
        let answer = world.good(METHOD, &format!("from=did:plc:alice&to=did:plc:carol{query}"));
        assert_eq!(answer, json!({"introductions": []}), "{query}");
    }
}

#[test]
fn a_ranking_is_that_of_rest_in_visits_of_a_thousand_walks() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.trust.getRanking";
    let own = world.good(METHOD, "did=did:plc:alice");
    let rest = world.server.anybody().get("/api/v1/analytics/ranking/did:plc:alice").expect(200);
    let (own, rest) = (own["ranking"].as_array().unwrap(), rest["ranking"].as_array().unwrap());
    assert_eq!(own.len(), rest.len());
    for (own, rest) in own.iter().zip(rest) {
        assert_eq!(own["did"], rest["entity_id"]);
        let visits = (rest["visits"].as_f64().unwrap() * 1000.0 + 0.5).floor() as i64;
        assert_eq!(own["visits"], visits);
        assert_eq!(own["through"]["did"], rest["through"]["entity_id"]);
        assert_eq!(own["through"]["share"], hundredths(&rest["through"]["share"]));
    }
    // Nobody but these two is stated by whom Alice reaches; Carol names nobody but Bob.
    let names: Vec<_> = own.iter().map(|r| r["did"].as_str().unwrap()).collect();
    assert_eq!(names, ["did:plc:bob", "did:plc:carol"]);
    // By the chances of each step: 2.67 and 1.63 visits in a walk.
    let visits: Vec<_> = own.iter().map(|r| r["visits"].as_i64().unwrap()).collect();
    assert!((2400..2900).contains(&visits[0]) && (1400..1800).contains(&visits[1]), "{visits:?}");
    let first = world.good(METHOD, "did=did:plc:alice&limit=1");
    assert_eq!(first, json!({"viewer": "did:plc:alice", "ranking": [own[0]]}));
    let nobody = world.good(METHOD, "did=did:plc:hal");
    assert_eq!(nobody["ranking"], json!([]));
}
