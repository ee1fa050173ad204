//! Every method that a lexicon describes is there, takes what the lexicon says and nothing else.
//! Nothing here names a method: a new lexicon is a new test.

use super::{Story, World};
use serde_json::Value;

/// A value of a parameter that its lexicon allows.
fn sample(world: &World, schema: &Value) -> String {
    match schema["type"].as_str().unwrap() {
        "integer" => schema["maximum"].to_string(),
        "boolean" => "true".into(),
        "array" => sample(world, &schema["items"]),
        _ => match schema["format"].as_str() {
            Some("did" | "at-identifier") => "did:plc:alice".into(),
            // Given in full, so that its record is as the lexicon has it.
            Some("at-uri") => world.dave_alice.clone(),
            _ => schema["enum"][0].as_str().unwrap_or("professional").into(),
        },
    }
}

/// Values of a parameter that its lexicon does not allow.
fn bad_samples(schema: &Value) -> Vec<String> {
    match schema["type"].as_str().unwrap() {
        "integer" => {
            let below = schema["minimum"].as_i64().unwrap() - 1;
            let above = schema["maximum"].as_i64().unwrap() + 1;
            let mut bad: Vec<String> =
                ["", "x", "1.0", "1e1", "%2B1", "%201"].map(str::to_owned).into();
            bad.extend([below.to_string(), above.to_string(), "9".repeat(40)]);
            bad
        }
        "boolean" => ["", "1", "yes", "True", "null"].map(str::to_owned).into(),
        "array" => bad_samples(&schema["items"]),
        _ if schema["enum"].is_array() => vec!["other".into(), String::new()],
        _ if schema["format"].is_string() => {
            vec!["not it".replace(' ', "%20"), String::new(), "%00".into(), "%FF".into()]
        }
        _ if schema["minLength"] == 1 => vec![String::new(), "x".repeat(1001)],
        _ => Vec::new(),
    }
}

#[test]
fn every_query_of_the_lexicons_is_there_and_takes_what_they_say_and_nothing_else() {
    let world = World::new();
    let mut asked = 0;
    for (method, main) in world.lexicons.all("query") {
        let properties = main["parameters"]["properties"].as_object().unwrap();
        let required: Vec<&str> = main["parameters"]["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let base = |without: &str| -> String {
            let mut parts = Vec::new();
            for name in required.iter().filter(|name| **name != without) {
                let value = sample(&world, &properties[*name]);
                let value = if *name == "to" { "did:plc:carol".into() } else { value };
                parts.push(format!("{name}={value}"));
            }
            parts.join("&")
        };
        world.good(method, &base(""));
        let mut refused = |query: String, says: &str| {
            asked += 1;
            let (status, error, message) = world.refused(method, &query);
            assert_eq!((status, error.as_str()), (400, "InvalidRequest"), "{method}?{query}");
            assert!(message.contains(says), "{method}?{query}: {message}");
        };
        refused(format!("{}&unheardOf=1", base("")), "unheardOf");
        for name in &required {
            refused(base(name), name);
        }
        for (name, schema) in properties.iter().filter(|(name, _)| *name != "cursor") {
            let rest = base(name);
            for bad in bad_samples(schema) {
                refused(format!("{rest}&{name}={bad}"), name);
            }
            let value = sample(&world, schema);
            if schema["type"] == "array" {
                let most = usize::try_from(schema["maxLength"].as_u64().unwrap()).unwrap();
                let item =
                    format!("&{name}={}", if name == "excludeDids" { "did:plc:x" } else { &value });
                world.good(method, &format!("{}{}", base(""), item.repeat(most)));
                refused(format!("{}{}", base(""), item.repeat(most + 1)), name);
            } else {
                refused(format!("{rest}&{name}={value}&{name}={value}"), name);
                if !required.contains(&name.as_str()) {
                    world.good(method, &format!("{}&{name}={value}", base("")));
                }
                if schema["type"] == "integer" {
                    let least = format!("{}&{name}={}", base(""), schema["minimum"]);
                    world.good(method, &least);
                }
            }
        }
    }
    assert!(asked > 80, "{asked}");
}

#[test]
fn defaults_are_those_of_the_lexicons() {
    let world = World::new();
    for (method, main) in world.lexicons.all("query") {
        let properties = main["parameters"]["properties"].as_object().unwrap();
        let required = main["parameters"]["required"].as_array().unwrap();
        let mut query = String::new();
        for name in required {
            let name = name.as_str().unwrap();
            let value = sample(&world, &properties[name]);
            let value = if name == "to" { "did:plc:carol" } else { &value };
            query.push_str(&format!("&{name}={value}"));
        }
        let mut full = query.clone();
        for (name, schema) in properties.iter().filter(|(_, s)| !s["default"].is_null()) {
            full.push_str(&format!("&{name}={}", schema["default"]));
        }
        let (mut a, mut b) = (world.good(method, &query), world.good(method, &full));
        for answer in [&mut a, &mut b] {
            answer.as_object_mut().unwrap().remove("lastCalculated");
        }
        assert_eq!(a, b, "{method}");
    }
    // Weaker than the default of 50: found when it is asked for.
    let mut story = Story::default();
    story.states(30, "alice", "zoe", 49);
    story.tell(&world.server);
    let ask = |query: &str| {
        world.good("net.rhiz.graph.findPath", &format!("from=did:plc:alice&to=did:plc:zoe{query}"))
            ["paths"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((ask(""), ask("&minStrength=50"), ask("&minStrength=49")), (0, 0, 1));
}
