//! `rhiz demo`: alive within seconds, the same people for the same seed, and a page that works in
//! a real browser.

use crate::{
    http::Client,
    server::{Data, Server, rhiz},
};
use rhiz_domain::{Clock, clock::SystemClock};
use serde_json::{Value, json};
use std::{fs, process::Command, time::Duration};

fn demo(args: &[&str]) -> (Data, Server) {
    let data = Data::new();
    let command = rhiz(&[&["demo", "--people", "200", "--port", "0"], args].concat(), &[]);
    let server = Server::start(&data, command);
    (data, server)
}

/// Everybody, in the order of the list.
fn everybody(client: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/api/v1/entities?limit=100{cursor}")).expect(200);
        all.extend(page["entities"].as_array().unwrap().iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field}: {value}"))
}

/// Two people of the list who are some hops apart, and the best path.
fn far_apart(client: &Client, people: &[Value]) -> Value {
    let from = text(&people[0], "did");
    let paths = people.iter().rev().take(60).filter_map(|person| {
        let body = json!({"from": from, "to": text(person, "did"), "min_strength": 0, "k": 3});
        let answer = client.post("/api/v1/graph/find-path", &body);
        (answer.status == 200).then(|| answer.json())
    });
    let path = paths.max_by_key(|p| p["distance"].as_u64().unwrap());
    path.filter(|p| p["distance"].as_u64().unwrap() > 1).expect("a path over somebody")
}

#[test]
fn it_is_up_within_seconds_with_people_worth_looking_at() {
    let clock = SystemClock::default();
    let (_data, server) = demo(&[]);
    // Generous for a debug build on a busy machine; a release takes less than a second.
    assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
    let client = server.anybody();
    let people = everybody(&client);
    assert!(people.len() >= 200, "{}", people.len());
    let named = people.iter().filter(|p| p["name"].is_string()).count();
    let handled = people.iter().filter(|p| p["handle"].is_string()).count();
    assert!(named >= 190 && handled >= 190, "{named} names and {handled} handles");
    let stats = client.get("/api/v1/analytics/network-stats").expect(200);
    for number in ["total_relationships", "total_attestations", "mutual_relationships"] {
        assert!(stats[number].as_u64().unwrap() > 100, "{stats}");
    }
    assert!(stats["verified_entities"].as_u64().unwrap() > 0, "{stats}");

    // By handle, by name, and over people.
    let person = people.iter().find(|p| p["handle"].is_string()).unwrap();
    let handle = text(person, "handle");
    assert_eq!(
        client.get(&format!("/api/v1/entities/by-handle/{handle}")).expect(200)["did"],
        person["did"]
    );
    let first = text(person, "name").split(' ').next().unwrap();
    let found = client.get(&format!("/api/v1/entities?q={first}")).expect(200);
    assert!(
        found["entities"].as_array().unwrap().iter().any(|e| e["did"] == person["did"]),
        "{found}"
    );
    let path = far_apart(&client, &people);
    assert!(path["total_strength"].as_f64().unwrap() > 0.0);

    // The stream goes on: more happens without anybody's doing.
    let before = stats["graph_version"].as_u64().unwrap();
    crate::server::wait_until("something happens", || {
        let stats = client.get("/api/v1/analytics/network-stats").expect(200);
        stats["graph_version"].as_u64().unwrap() > before
    });
    // Nobody writes into it without a key, and nothing of it dies.
    let dead = server.keyed().get("/internal/events/dead-letter").expect(200);
    assert_eq!(dead["count"], 0, "{dead}");
    assert!(server.stop().success());
}

#[test]
fn the_same_seed_makes_the_same_people() {
    let people = |seed: &str| {
        let (_data, server) = demo(&["--seed", seed, "--no-stream"]);
        let mut people: Vec<[String; 2]> = everybody(&server.anybody())
            .iter()
            .map(|p| [text(p, "did").to_owned(), p["name"].to_string()])
            .collect();
        people.sort();
        people
    };
    let first = people("7");
    assert_eq!(people("7"), first);
    let other = people("8");
    assert!(other.iter().all(|p| !first.contains(p)), "another seed makes others");
}

#[test]
fn it_leaves_nothing_behind() {
    let data = Data::new();
    let tmp = data.beside("tmp");
    fs::create_dir(&tmp).unwrap();
    let mut command = rhiz(&["demo", "--people", "10", "--port", "0"], &[]);
    command.env("TMPDIR", &tmp);
    let server = Server::start(&data, command);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 1);
    assert!(server.stop().success());
    let left: Vec<_> = fs::read_dir(&tmp).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_page_and_all_it_needs_are_served_under_a_strict_policy() {
    let (_data, server) = demo(&["--no-stream"]);
    let client = server.anybody();
    let page = client.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let html = page.text();
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from outside");
    assert!(!html.contains(" style=") && !html.contains(" onclick="), "the policy forbids them");
    // Everything that the page and its modules name, and what these name.
    let mut seen = vec!["/".to_owned()];
    let mut open = vec![("/".to_owned(), html)];
    while let Some((at, text)) = open.pop() {
        let named = text.split(['"', '\'']).filter(|word| {
            [".js", ".css", ".svg"].iter().any(|end| word.ends_with(end)) && !word.contains(' ')
        });
        for name in named {
            let folder = at.rsplit_once('/').unwrap().0;
            let path = match name.strip_prefix("./") {
                Some(rest) => format!("{folder}/{rest}"),
                None if name.starts_with('/') => name.to_owned(),
                None => match name.strip_prefix("../") {
                    Some(rest) => format!("{}/{rest}", folder.rsplit_once('/').unwrap().0),
                    None => format!("{folder}/{name}"),
                },
            };
            if seen.contains(&path) {
                continue;
            }
            let file = client.get(&path);
            assert_eq!(file.status, 200, "{path}, named in {at}");
            let kind = file.header("content-type").unwrap();
            let expected = match path.rsplit('.').next() {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(kind, expected, "{path}");
            let policy = file.header("content-security-policy").unwrap();
            assert!(
                policy.contains("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
            seen.push(path.clone());
            open.push((path, file.text()));
        }
    }
    assert!(seen.iter().filter(|p| p.ends_with(".js")).count() >= 3, "{seen:?}");
}

/// What the browser made of a page, and what it said on its console.
fn browse(url: &str) -> (String, String) {
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    });
    let chromium = chromium.expect(
        "this test needs a real browser: install Chromium (Debian: `apt-get install chromium`)",
    );
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--timeout=30000",
            "--window-size=1280,900",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_explorer_shows_how_two_people_connect_in_a_real_browser() {
    let (_data, server) = demo(&["--no-stream"]);
    let client = server.anybody();
    let people = everybody(&client);
    let path = far_apart(&client, &people);
    let name = |did: &Value| {
        let person = people.iter().find(|p| p["did"] == *did).unwrap();
        text(person, "name").replace('&', "&amp;")
    };
    let (from, to) = (text(&path, "from"), text(&path, "to"));
    let (dom, console) = browse(&format!("http://{}/?from={from}&to={to}", server.address));
    let names: Vec<String> = [name(&path["from"])]
        .into_iter()
        .chain(path["hops"].as_array().unwrap().iter().map(|h| name(&h["to"])))
        .collect();
    for name in &names {
        assert!(
            dom.contains(name.as_str()),
            "{name} of {names:?} is not in the page:\n{dom}\n{console}"
        );
    }
    let said: Vec<&str> = console.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "{said:#?}");

    // Somebody who is not there is told so in words, not by an empty page.
    let (dom, console) =
        browse(&format!("http://{}/?from={from}&to=did:plc:nobody", server.address));
    assert!(dom.contains("did:plc:nobody"), "{dom}");
    let broken = console.lines().any(|l| l.contains("CONSOLE") && l.contains("Uncaught"));
    assert!(!broken, "{console}");
}
