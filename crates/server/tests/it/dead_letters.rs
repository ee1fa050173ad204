//! Dead letters over HTTP: found, replayed, discarded, and nothing done by a slip of the pen.

use crate::{
    http::Client,
    server::{Data, Server},
};
use serde_json::{Value, json};
use std::process::Output;

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
    ] {
        for path in [DISCARD, REPLAY] {
            let problem = client.post(path, &body).expect(422);
            assert!(problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
        }
        assert_eq!(count(&client), 3, "{body}");
    }
    assert_eq!(client.get("/internal/audit").expect(200)["audit"], json!([]));
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
}

#[test]
fn the_command_line_asks_for_the_did_it_was_given() {
    let server = server();
    let address = format!("http://{}", server.address);
    let list = |did: &str| -> String {
        let args = ["dlq", "list", "--did", did, "--server", &address];
        let Output { stdout, stderr, status } = server.data.command(&args, &[]).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    };
    let text = list(LOCAL);
    assert!(text.contains(LOCAL) && text.ends_with("1 dead letters match\n"), "{text}");
    assert!(list("did:plc:ada").ends_with("1 dead letters match\n"));
}
