//! Dead letters over HTTP: found, replayed, discarded, and nothing done by a slip of the pen.

use crate::{
    http::Client,
    server::{Data, Server, wait_until},
};
use rhiz_domain::{Clock, clock::SystemClock};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

const PLACE: &str = "/internal/events/dead-letter";
const REPLAY: &str = "/internal/events/dead-letter/replay";
const DISCARD: &str = "/internal/events/dead-letter/discard";
const LOCAL: &str = "did:web:localhost%3A3000";

/// A relationship as a line of an import; a strength above 100 is none.
fn line(owner: &str, strength: i64) -> String {
    json!({
        "did": owner,
        "time_us": 1_767_225_600_000_000_u64,
        "kind": "commit",
        "commit": {
            "rev": "3mbcqzbzk2k2a",
            "operation": "create",
            "collection": "net.rhiz.relationship.record",
            "rkey": "3mbcqzbzk2k2a",
            "record": {
                "$type": "net.rhiz.relationship.record",
                "participants": [owner, "did:plc:bob"],
                "type": "professional",
                "strength": strength,
                "createdAt": "2026-01-01T00:00:00Z",
            },
            "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a",
        },
    })
    .to_string()
}

/// A server with three inputs that became no event.
fn server() -> Server {
    let server = Data::new().serve();
    let lines: Vec<String> =
        ["did:plc:ada", "did:plc:ada2", LOCAL].iter().map(|who| line(who, 101)).collect();
    let body = lines.join("\n") + "\n";
    let path = "/internal/import?digest=0123456789abcdef&offset=0";
    let kind = [("Content-Type", "application/x-ndjson")];
    let client = server.keyed();
    client.send("POST", path, &kind, body.as_bytes()).unwrap().expect(200);
    assert_eq!(count(&client), 3);
    server
}

fn count(client: &Client) -> Value {
    client.get(PLACE).expect(200)["count"].clone()
}

#[test]
fn a_misspelt_word_does_nothing_and_is_named() {
    let server = server();
    let client = server.keyed();
    for (body, word) in [
        (json!({"filter": {"event_type": "profile.updated"}}), "event_type"),
        (json!({"filter": {"limit": 1}}), "limit"),
        (json!({"filter": {"cursor": "x"}}), "cursor"),
        (json!({"filter": {}, "dryrun": true}), "dryrun"),
        (json!({"filters": {"did": "did:plc:ada"}, "filter": {}}), "filters"),
        (json!({"filter": {"until": "yesterday"}}), "filter.until"),
        (json!({}), "filter"),
        (json!({"filter": {}, "per_second": 0}), "per_second"),
        (json!({"filter": {}, "per_second": -1}), "per_second"),
    ] {
        for path in [DISCARD, REPLAY] {
            let problem = client.post(path, &body).expect(422);
            assert!(problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
        }
        assert_eq!(count(&client), 3, "{body}");
    }
    assert_eq!(client.get("/internal/audit").expect(200)["audit"], json!([]));
    let paced = json!({"filter": {}, "per_second": 5});
    let problem = client.post(DISCARD, &paced).expect(422);
    assert_eq!(problem["errors"][0]["field"], "per_second", "a discard has no pace");
    assert_eq!(count(&client), 3);
    client.get(&format!("{PLACE}?event_type=x")).expect(400);
    let clear = json!({"pattern": "*", "tags": "x"});
    client.post("/internal/cache/clear", &clear).expect(422);
}

#[test]
fn what_never_was_an_event_is_counted_apart_and_discarded_by_filter_and_by_id() {
    let server = server();
    let client = server.keyed();
    for dry_run in [true, false] {
        let answer = client.post(REPLAY, &json!({"filter": {}, "dry_run": dry_run})).expect(200);
        assert_eq!(answer, json!({"replayed": 0, "impossible": 3, "dry_run": dry_run}));
    }
    let letters = client.get(PLACE).expect(200)["events"].clone();
    assert_eq!(letters[0]["replayable"], false);
    let id = letters[0]["event_id"].as_str().unwrap();
    let named = json!({"ids": [id, id], "dry_run": true});
    let answer = client.post(REPLAY, &named).expect(200);
    assert_eq!(answer, json!({"replayed": 0, "impossible": 1, "dry_run": true}));
    assert_eq!(client.post(&format!("{PLACE}/{id}/replay"), &json!({})).status, 409);

    let past = json!({"filter": {"until": "2020-01-01T00:00:00Z"}});
    assert_eq!(client.post(DISCARD, &past).expect(200)["discarded"], 0);
    let of_ada = |dry_run| json!({"filter": {"did": "did:plc:ada"}, "dry_run": dry_run});
    assert_eq!(client.post(DISCARD, &of_ada(true)).expect(200)["discarded"], 1);
    assert_eq!(count(&client), 3);
    assert_eq!(client.post(DISCARD, &of_ada(false)).expect(200)["discarded"], 1);
    assert_eq!(count(&client), 2);
    let one = format!("{PLACE}/{id}");
    assert_eq!(client.send("DELETE", &one, &[], b"").unwrap().status, 200);
    assert_eq!(client.send("DELETE", &one, &[], b"").unwrap().status, 404);
    assert_eq!(count(&client), 1);
    let audit = client.get("/internal/audit").expect(200)["audit"].clone();
    let told: Vec<&Value> = audit.as_array().unwrap().iter().map(|row| &row["action"]).collect();
    assert_eq!(told, ["discard", "discard"], "{audit}");
    assert!(audit[1]["subject"].as_str().unwrap().contains("did:plc:ada"), "{audit}");
    assert_eq!(audit[0]["subject"], id);
}

/// A command of this server's operator: what it said, and its exit code.
fn dlq(server: &Server, args: &[&str]) -> (String, String, Option<i32>) {
    let address = format!("http://{}", server.address);
    let args = [&["dlq"], args, &["--server", &address]].concat();
    let Output { stdout, stderr, status } = server.data.command(&args, &[]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code())
}

/// What it said when it went well.
fn said(server: &Server, args: &[&str]) -> String {
    let (out, err, code) = dlq(server, args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    out
}

#[test]
fn the_command_line_asks_for_the_did_it_was_given() {
    let server = server();
    let text = said(&server, &["list", "--did", LOCAL]);
    assert!(text.contains(LOCAL) && text.ends_with("1 dead letters match\n"), "{text}");
    let text = said(&server, &["list", "--did", "did:plc:ada"]);
    assert!(text.ends_with("1 dead letters match\n"), "{text}");
}

/// An id is what its caller likes: in a path every character of it means itself.
const IDS: [&str; 5] = ["metrics", "a/b?c=%41#d", "..;", "e3", "e4"];

fn uri(owner: &str) -> String {
    format!("at://{owner}/net.rhiz.relationship.record/3mbcqzbzk2k2a")
}

fn owner(n: usize) -> String {
    format!("did:plc:owner{n}")
}

/// In a path, everything escaped.
fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn found(client: &Client, id: &str) -> Value {
    client.get(&format!("/internal/events/{}", escaped(id))).expect(200)
}

/// Whose relationships are in the answers.
fn applied(client: &Client) -> Vec<usize> {
    let is_there = |n: &usize| {
        let path = format!("/api/v1/relationships/{}", escaped(&uri(&owner(*n))));
        client.get(&path).status == 200
    };
    (0..IDS.len()).filter(is_there).collect()
}

/// Five events of five owners, given up because their rows were damaged while nothing ran; each can
/// be replayed.
fn given_up() -> Server {
    let data = Data::new();
    let server = data.serve();
    let client = server.keyed();
    client.post("/internal/pipeline/pause", &json!({"parts": ["work"]})).expect(200);
    for (n, id) in IDS.iter().enumerate() {
        let event = json!({
            "event_id": id,
            "event_type": "relationship.created",
            "did": owner(n),
            "payload": {
                "uri": uri(&owner(n)), "participants": [owner(n), "did:plc:subject"],
                "type": "social", "strength": 70,
            },
        });
        client.post("/internal/events", &event).expect(202);
    }
    server.kill();
    let conn = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    // As if they had been accepted an hour ago.
    let sql = "UPDATE journal SET stages = '[{', accepted_at = accepted_at - 3600000000";
    assert_eq!(conn.execute(sql, []).unwrap(), IDS.len());
    conn.execute("UPDATE accepted SET accepted_at = accepted_at - 3600000000", []).unwrap();
    drop(conn);
    let server = data.serve();
    let client = server.keyed();
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    wait_until("all of them are dead", || count(&client) == IDS.len());
    assert_eq!(applied(&client), [0; 0]);
    server
}

/// What operators did to dead letters, oldest first.
fn acts(client: &Client) -> Vec<(String, u64)> {
    let audit = client.get("/internal/audit").expect(200);
    let rows = audit["audit"].as_array().unwrap().iter().rev();
    rows.map(|r| (r["action"].as_str().unwrap().to_owned(), r["count"].as_u64().unwrap()))
        .filter(|(action, _)| matches!(action.as_str(), "replay" | "discard"))
        .collect()
}

fn act(action: &str, count: u64) -> (String, u64) {
    (action.to_owned(), count)
}

#[test]
fn what_is_replayed_takes_effect_once_and_the_audit_log_says_so() {
    let server = given_up();
    let client = server.keyed();
    for (n, id) in IDS.iter().enumerate() {
        let letter: Value = serde_json::from_str(&said(&server, &["show", id])).unwrap();
        assert_eq!((&letter["event_id"], &letter["did"]), (&json!(id), &json!(owner(n))));
        assert!(letter["last_error"].as_str().unwrap().contains("stages"), "{letter}");
    }

    // Looking changes nothing.
    let soon = "2100-01-01T00:00:00Z";
    let all = json!({"filter": {"type": "relationship.created", "until": soon}, "dry_run": true});
    let would = json!({"replayed": 5, "impossible": 0, "dry_run": true});
    assert_eq!(client.post(REPLAY, &all).expect(200), would);
    let text = said(&server, &["replay", "--all", "--dry-run"]);
    assert_eq!(text, "5 would be replayed\n");
    let text = said(&server, &["discard", "--since", soon, "--dry-run"]);
    assert_eq!(text, "0 would be discarded\n");
    assert_eq!((count(&client), applied(&client)), (json!(5), vec![]));
    assert_eq!(acts(&client), []);

    // By a filter over HTTP; across a kill.
    client.post("/internal/pipeline/pause", &json!({"parts": ["work"]})).expect(200);
    let one = json!({"filter": {"did": owner(0)}});
    let answer = client.post(REPLAY, &one).expect(200);
    assert_eq!(answer, json!({"replayed": 1, "impossible": 0, "dry_run": false}));
    let data = server.kill();
    let server = data.serve();
    let client = server.keyed();
    let waits = found(&client, IDS[0]);
    assert_eq!((&waits["state"], &waits["retry_count"]), (&json!("waiting"), &json!(0)));
    let (first, again) = (&waits["timestamp"], &waits["replayed_at"]);
    assert!(first.as_str().unwrap() < again.as_str().unwrap(), "an hour: {waits}");
    assert_eq!(count(&client), 4);
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    server.settled();
    assert_eq!(applied(&client), [0]);
    assert_eq!(found(&client, IDS[0])["state"], "done");

    // By id and by filter on the command line.
    assert_eq!(said(&server, &["replay", IDS[1], "unknown"]), "1 replayed\n");
    let pace = ["replay", "--type", "relationship.created", "--until", soon, "--per-second", "4"];
    let clock = SystemClock::default();
    assert_eq!(said(&server, &pace), "3 replayed\n");
    assert!(clock.elapsed() >= Duration::from_millis(500), "no faster than it was told");
    server.settled();
    assert_eq!((count(&client), applied(&client)), (json!(0), vec![0, 1, 2, 3, 4]));
    assert_eq!(acts(&client), [act("replay", 1), act("replay", 1), act("replay", 3)]);
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!((&metrics["events_processed"], &metrics["events_failed"]), (&json!(5), &json!(0)));
    let slowest = metrics["accept_to_applied"]["relationship.created"]["p99_ms"].as_f64().unwrap();
    assert!(slowest < 600_000.0, "the hour before the replay does not count: {metrics}");

    // Once: there is nothing left to be replayed.
    assert_eq!(said(&server, &["replay", "--all"]), "0 replayed\n");
    client.post(&format!("{PLACE}/{}/replay", escaped(IDS[1])), &json!({})).expect(404);
    assert_eq!(acts(&client).len(), 3);
    let (_, err, code) = dlq(&server, &["show", IDS[1]]);
    assert_eq!(code, Some(1));
    assert_eq!(err, format!("error: the event {} is not dead: it is done\n", IDS[1]));
    assert_eq!(dlq(&server, &["show", ".."]).2, Some(1));
}

/// It was never applied, and nobody is told that it was; nor does it come again.
#[test]
fn what_is_discarded_is_not_said_to_be_done() {
    let server = given_up();
    let client = server.keyed();
    let one = format!("{PLACE}/{}", escaped(IDS[0]));
    assert_eq!(client.send("DELETE", &one, &[], b"").unwrap().status, 200);
    assert_eq!(found(&client, IDS[0])["state"], "discarded");
    let (_, err, code) = dlq(&server, &["show", IDS[0]]);
    assert_eq!(code, Some(1));
    assert_eq!(err, format!("error: the event {} is not dead: it is discarded\n", IDS[0]));
    assert!(applied(&client).is_empty());
}

/// Another process takes the database between two steps.
#[test]
fn a_replay_that_breaks_off_says_how_far_it_came() {
    let server = given_up();
    let (client, watcher) = (server.keyed(), server.keyed());
    client.post("/internal/pipeline/pause", &json!({"parts": ["work"]})).expect(200);
    let slowly = json!({"filter": {}, "per_second": 1});
    let replaying = thread::spawn(move || client.post(REPLAY, &slowly));
    wait_until("the first step is done", || count(&watcher) != 5);
    let conn = rusqlite::Connection::open(server.data.path().join("rhiz.db")).unwrap();
    conn.busy_timeout(Duration::from_secs(9)).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = replaying.join().unwrap();
    conn.execute_batch("ROLLBACK").unwrap();
    assert!(answer.header("retry-after").is_some());
    let problem = answer.expect(503);
    assert_eq!(problem["code"], "database_unavailable", "{problem}");
    let done = problem["replayed"].as_u64().unwrap();
    assert!((1..5).contains(&done), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    let words = format!("{done} dead letter");
    assert!(detail.contains(&words) && !detail.contains("nothing"), "{detail}");
    assert_eq!(count(&watcher), 5 - done);
    assert_eq!(acts(&watcher), [act("replay", done)]);
    assert_eq!(said(&server, &["replay", "--all"]), format!("{} replayed\n", 5 - done));
    assert_eq!(acts(&watcher), [act("replay", done), act("replay", 5 - done)]);
    watcher.post("/internal/pipeline/resume", &json!({})).expect(200);
    server.settled();
    assert_eq!(applied(&watcher), [0, 1, 2, 3, 4]);
}

/// The log says what was done before the kill, and nothing else was done.
#[test]
fn a_kill_in_the_middle_of_a_replay_leaves_what_the_audit_log_says() {
    let server = given_up();
    let (client, watcher) = (server.keyed(), server.keyed());
    client.post("/internal/pipeline/pause", &json!({"parts": ["work"]})).expect(200);
    let slowly = json!({"filter": {}, "per_second": 1});
    let replaying = thread::spawn(move || client.try_post(REPLAY, &slowly).is_err());
    wait_until("some of it is done", || count(&watcher) != 5);
    let data = server.kill();
    assert!(replaying.join().unwrap(), "nobody was told that it was done");
    let server = data.serve();
    let client = server.keyed();
    let left = count(&client).as_u64().unwrap();
    assert!((1..5).contains(&left), "{left}");
    assert_eq!(acts(&client), [act("replay", 5 - left)]);
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!(metrics["paused"], 5 - left);
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    server.settled();
    assert_eq!(applied(&client).len() as u64, 5 - left);
}

#[test]
fn the_audit_log_is_paged() {
    let server = Server::new();
    let client = server.keyed();
    for n in 0..5 {
        let order = if n % 2 == 0 { "pause" } else { "resume" };
        client.post(&format!("/internal/pipeline/{order}"), &json!({})).expect(200);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/internal/audit?limit=2{cursor}")).expect(200);
        let rows = page["audit"].as_array().unwrap();
        assert!(rows.len() <= 2);
        seen.extend(rows.iter().map(|row| row["id"].as_i64().unwrap()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    for (query, field) in [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor")] {
        let problem = client.get(&format!("/internal/audit?{query}")).expect(422);
        assert_eq!(problem["errors"][0]["field"], field);
    }
    client.get("/internal/audit?before=3").expect(400);
}

/// Many pages of letters, and lines of their own for each.
#[test]
fn a_list_goes_on_as_far_as_it_is_asked_to() {
    let server = Data::new().serve();
    let client = server.keyed();
    let lines: String = (0..1250).map(|n| line(&format!("did:plc:p{n}"), 101) + "\n").collect();
    let path = "/internal/import?digest=0123456789abcdef&offset=0";
    let kind = [("Content-Type", "application/x-ndjson")];
    client.send("POST", path, &kind, lines.as_bytes()).unwrap().expect(200);
    let text = said(&server, &["list"]);
    assert_eq!(text.lines().count(), 51);
    let end = "1250 dead letters match; these are the newest 50, --all shows all\n";
    assert!(text.ends_with(end), "{text}");
    let text = said(&server, &["list", "--limit", "1201"]);
    assert_eq!(text.lines().count(), 1202);
    let text = said(&server, &["list", "--all"]);
    assert_eq!(text.lines().count(), 1251);
    assert!(text.ends_with("\n1250 dead letters match\n"));
    let text = said(&server, &["list", "--all", "--json"]);
    let letters: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let whom: std::collections::BTreeSet<_> =
        letters.iter().map(|l| l["did"].to_string()).collect();
    assert_eq!((letters.len(), whom.len()), (1250, 1250));
    assert_eq!(letters[0]["did"], "did:plc:p1249", "the newest first");
    let exact =
        said(&server, &["list", "--limit", "200", "--json", "--until", "2100-01-01T00:00:00Z"]);
    assert_eq!(exact.lines().count(), 200);
    for args in [
        &["list", "--limit", "0"][..],
        &["list", "--all", "--limit", "9"],
        &["replay", "--all", "--per-second", "0"],
        &["discard", "--all", "--per-second", "9"],
        &["discard", "--all", "--until", "2100-01-01T00:00:00Z"],
    ] {
        assert_eq!(dlq(&server, args).2, Some(2), "{args:?}");
    }
    let (_, err, code) = dlq(&server, &["list", "--type", "identity.changed"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("identity.updated"), "{err}");

    // Whoever has seen enough closes the pipe.
    let address = format!("http://{}", server.address);
    let args = ["dlq", "list", "--all", "--json", "--server", &address];
    let mut reading = server.data.command(&args, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(reading.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.ends_with("}\n"));
    assert!(reading.wait().unwrap().success());
}

/// Letters of two ages: how old the oldest is can be seen; without a retention nothing is deleted,
/// with one what is older.
#[test]
fn old_letters_are_shown_and_discarded_when_that_is_configured() {
    let server = server();
    let data = server.kill();
    let conn = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    let old = |hours: i64, did: &str| {
        let sql = "UPDATE dead_letters SET died_at = died_at - $1 * 3600000000 WHERE did = $2";
        assert_eq!(conn.execute(sql, rusqlite::params![hours, did]).unwrap(), 1);
    };
    old(50, "did:plc:ada");
    old(20, "did:plc:ada2");

    let server = data.serve();
    let client = server.keyed();
    let seconds = (50 * 3600) as f64;
    let is_old = |age: &Value| (seconds..seconds + 600.0).contains(&age.as_f64().unwrap());
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!(metrics["dead_letters"], 3);
    assert!(is_old(&metrics["oldest_dead_letter_seconds"]), "{metrics}");
    wait_until("they are counted", || {
        client.get("/health/detailed").expect(200)["dead_letters"].is_object()
    });
    let letters = client.get("/health/detailed").expect(200)["dead_letters"].clone();
    assert!(letters["count"] == 3 && is_old(&letters["oldest_seconds"]), "{letters}");
    let listed = client.get(PLACE).expect(200);
    assert_eq!(listed["oldest_died_at"], letters["oldest_died_at"]);
    assert_eq!(acts(&client), []);
    let data = server.kill();

    let server = data.serve_with(&[("PIPELINE_DEAD_LETTER_RETENTION", "30h")]);
    let client = server.keyed();
    wait_until("the oldest is gone", || count(&client) == 2);
    let audit = client.get("/internal/audit").expect(200)["audit"].clone();
    assert_eq!((&audit[0]["by"], &audit[0]["count"]), (&json!("retention"), &json!(1)));
    assert_eq!(said(&server, &["list", "--did", "did:plc:ada"]), "0 dead letters match\n");
    let data = server.kill();

    // Nothing more to be done: nothing is written down.
    let server = data.serve_with(&[("PIPELINE_DEAD_LETTER_RETENTION", "30h")]);
    let client = server.keyed();
    let of_ada2 = client.get(&format!("{PLACE}?did=did:plc:ada2")).expect(200);
    let died_at = of_ada2["events"][0]["died_at"].as_str().unwrap();
    assert_eq!(said(&server, &["discard", "--until", died_at]), "0 discarded\n");
    let args = ["discard", "--did", "did:plc:ada2", "--since", died_at];
    assert_eq!(said(&server, &[&args[..], &["--dry-run"]].concat()), "1 would be discarded\n");
    assert_eq!(count(&client), 2);
    assert_eq!(said(&server, &args), "1 discarded\n");
    assert_eq!(count(&client), 1);
    assert_eq!(acts(&client), [act("discard", 1), act("discard", 1)]);
}
