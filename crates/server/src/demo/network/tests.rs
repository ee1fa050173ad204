use super::super::{ATTESTATION, INTRO, RELATIONSHIP};
use super::*;
use rhiz_domain::records::Form;
use rhiz_domain::{Collection, Did, Handle, Record, Tid};
use std::collections::HashMap;
use std::sync::LazyLock;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Two thousand people, made once for all tests that only look at them.
static SEVEN: LazyLock<Network> = LazyLock::new(|| network(7, now(), 2_000));

/// Each record with its event, of one collection.
fn records<'a>(network: &'a Network, collection: &'a str) -> impl Iterator<Item = &'a Value> {
    network.events.iter().filter(move |event| event["commit"]["collection"] == collection)
}

/// Degrees of the graph that the relationship records of `events` draw, by DID.
fn degrees(events: &[Value]) -> HashMap<String, HashSet<String>> {
    let mut degrees: HashMap<String, HashSet<String>> = HashMap::new();
    for event in events {
        if let Some(pair) = event["commit"]["record"]["participants"].as_array() {
            let (a, b) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            degrees.entry(a.to_owned()).or_default().insert(b.to_owned());
            degrees.entry(b.to_owned()).or_default().insert(a.to_owned());
        }
    }
    degrees
}

#[test]
fn the_same_seed_is_the_same_network() {
    let one = network(42, now(), 600);
    assert_eq!(one.events, network(42, now(), 600).events);
    assert_ne!(one.people[0].did, network(43, now(), 600).people[0].did);
}

#[test]
fn a_later_day_states_the_same_records_again() {
    let keys = |network: &Network| -> HashSet<String> {
        network
            .events
            .iter()
            .map(|e| format!("{} {} {}", e["did"], e["commit"]["collection"], e["commit"]["rkey"]))
            .collect()
    };
    let today = network(42, now(), 600);
    let later = network(42, now() + std::time::Duration::from_secs(40 * 86_400), 600);
    assert_eq!(keys(&today), keys(&later));
    assert_eq!(today.events.len(), later.events.len());
}

#[test]
fn identifiers_and_times_are_valid() {
    let network = &*SEVEN;
    assert_eq!(network.people.len(), 2_000);
    let dids: HashSet<_> = network.people.iter().map(|p| &p.did).collect();
    let handles: HashSet<_> = network.people.iter().map(|p| &p.handle).collect();
    assert_eq!((dids.len(), handles.len()), (2_000, 2_000));
    assert!(dids.iter().all(|did| Did::parse(did).is_ok() && did.len() == 32));
    for handle in handles {
        Handle::parse(handle).unwrap();
    }
    let now_text = datetime(now().as_microsecond());
    let mut last = 0;
    let mut revs: HashMap<&str, &str> = HashMap::new();
    let mut created: HashSet<String> = HashSet::new();
    for event in &network.events {
        let time = event["time_us"].as_i64().unwrap();
        assert!(time > last && time <= now().as_microsecond(), "{event}");
        last = time;
        if event["kind"] == "identity" {
            assert!(event["identity"]["time"].as_str().unwrap() <= now_text.as_str());
            continue;
        }
        let (did, commit) = (event["did"].as_str().unwrap(), &event["commit"]);
        let (rev, rkey) = (commit["rev"].as_str().unwrap(), commit["rkey"].as_str().unwrap());
        Tid::parse(rev).unwrap();
        assert!(revs.insert(did, rev).is_none_or(|before| before < rev), "{event}");
        let collection = commit["collection"].as_str().unwrap();
        let known = Collection::parse(collection).unwrap();
        known.parse_rkey(rkey).unwrap();
        let owner = Did::parse(did).unwrap();
        Record::read(known, &owner, &commit["record"], Form::Lexicon, "record").unwrap();
        let hash = rhiz_domain::canonical::hash(&commit["record"]).unwrap();
        assert_eq!(commit["cid"], rhiz_domain::canonical::cid(&hash));
        let fresh = created.insert(format!("{did}/{collection}/{rkey}"));
        assert_eq!(commit["operation"] == "create", fresh, "{event}");
        assert_eq!(commit["record"]["$type"], collection);
        assert!(commit["record"]["createdAt"].as_str().unwrap() <= now_text.as_str());
    }
}

#[test]
fn records_keep_the_rules_of_their_collections() {
    let network = &*SEVEN;
    let known: HashSet<&str> = network.people.iter().map(|p| p.did.as_str()).collect();
    let mut uris = HashSet::new();
    for event in records(network, RELATIONSHIP) {
        let record = &event["commit"]["record"];
        assert_eq!(record["participants"][0], event["did"]);
        assert_ne!(record["participants"][1], event["did"]);
        assert!(known.contains(record["participants"][1].as_str().unwrap()));
        assert!((0..=100).contains(&record["strength"].as_i64().unwrap()));
        let context = record["context"].as_str().unwrap();
        assert!(!context.is_empty() && context.len() <= 500 && !context.contains('{'), "{context}");
        let rev_time = datetime(event["time_us"].as_i64().unwrap());
        let temporal = &record["temporal"];
        assert!(temporal["lastInteraction"].as_str().unwrap() <= rev_time.as_str(), "{event}");
        assert!(temporal["start"].as_str() <= temporal["lastInteraction"].as_str(), "{event}");
        let rkey = event["commit"]["rkey"].as_str().unwrap();
        uris.insert(format!("at://{}/{RELATIONSHIP}/{rkey}", event["did"].as_str().unwrap()));
    }
    for event in records(network, ATTESTATION) {
        let record = &event["commit"]["record"];
        assert_eq!(record["attester"], event["did"]);
        assert!(uris.contains(record["targetRelationship"].as_str().unwrap()), "{event}");
        assert!((0..=100).contains(&record["confidence"].as_i64().unwrap()));
    }
    for event in records(network, INTRO) {
        assert_eq!(event["commit"]["record"]["requester"], event["did"]);
    }
    for event in records(network, PROFILE) {
        let record = &event["commit"]["record"];
        assert!((1..=200).contains(&record["displayName"].as_str().unwrap().len()));
    }
}

#[test]
fn the_mix_is_that_of_a_living_network() {
    let network = &*SEVEN;
    let mut sides: HashSet<(String, String)> = HashSet::new();
    let mut visibility: HashMap<String, usize> = HashMap::new();
    let (mut recent, mut total) = (0, 0);
    let month = datetime(now().as_microsecond() - 30 * DAY);
    for event in records(network, RELATIONSHIP) {
        let record = &event["commit"]["record"];
        let pair = &record["participants"];
        sides.insert((pair[0].to_string(), pair[1].to_string()));
        let privacy = &record["privacy"];
        let key = format!("{}/{}", privacy["visibility"], privacy["consent"]);
        *visibility.entry(key).or_default() += 1;
        total += 1;
        recent += usize::from(record["temporal"]["lastInteraction"].as_str() > Some(&month));
    }
    let both = sides.iter().filter(|(a, b)| sides.contains(&(b.clone(), a.clone()))).count() / 2;
    let pairs = sides.len() - both;
    let share = both as f64 / pairs as f64;
    assert!((0.66..0.74).contains(&share), "{share} of {pairs} pairs are mutual");
    assert_eq!(visibility.len(), 5, "{visibility:?}");
    assert!(recent * 5 > total && recent * 4 < total * 3, "{recent} of {total} within 30 days");

    let mut kinds: HashMap<&str, usize> = HashMap::new();
    let mut refusals = 0;
    for event in records(network, ATTESTATION) {
        let record = &event["commit"]["record"];
        *kinds.entry(record["attestationType"].as_str().unwrap()).or_default() += 1;
        let owner = record["targetRelationship"].as_str().unwrap().split('/').nth(2).unwrap();
        let participant = sides.contains(&(format!("\"{owner}\""), event["did"].to_string()));
        refusals += usize::from(participant && record["attestationType"] == "dispute");
    }
    assert!(kinds["verify"] > kinds["strengthen"] && kinds["strengthen"] > kinds["weaken"]);
    assert!(kinds["dispute"] > 50, "{kinds:?}");
    assert!((20..400).contains(&refusals), "{refusals} refusals");
    assert!((8_000..40_000).contains(&network.events.len()), "{}", network.events.len());
}

#[test]
fn nearly_everyone_is_within_reach() {
    for seed in [1, 7, 42] {
        let network = network(seed, now(), 2_000);
        let near = degrees(&network.events);
        let start = near.iter().max_by_key(|(_, friends)| friends.len()).unwrap().0;
        let (mut seen, mut todo) = (HashSet::from([start]), vec![start]);
        while let Some(did) = todo.pop() {
            todo.extend(near[did].iter().filter(|friend| seen.insert(friend)));
        }
        assert!(seen.len() >= 1_900, "seed {seed}: {} of 2,000", seen.len());
    }
}

#[test]
fn degrees_have_a_heavy_tail() {
    let network = &*SEVEN;
    let mut degree: Vec<f64> =
        degrees(&network.events).values().map(|friends| friends.len() as f64).collect();
    degree.sort_by(|a, b| b.total_cmp(a));
    let median = degree[degree.len() / 2];
    assert!(degree[0] >= 8.0 * median, "most {} median {median}", degree[0]);
    // Hill's estimate over the top 5 %: the exponent of the density is 1 + 1/mean(ln(x / x_min)).
    let top = &degree[..degree.len() / 20];
    let least = top[top.len() - 1];
    let mean = top.iter().map(|d| (d / least).ln()).sum::<f64>() / top.len() as f64;
    let exponent = 1.0 + 1.0 / mean;
    assert!((1.8..3.6).contains(&exponent), "exponent {exponent}");
}

#[test]
fn small_numbers_of_people_are_fine() {
    for people in [0, 1, 2, 3, 10] {
        assert_eq!(network(1, now(), people).people.len(), people);
    }
}
