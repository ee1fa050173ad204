//! Who is who, asked of a real PLC directory and PDS through the server.

use crate::{
    http::Client,
    people::{did, knows, tell},
    server::{Data, Server},
};
use rhiz_testkit::atproto::Peer;
use serde_json::{Value, json};
use std::net::TcpListener;

fn ask(client: &Client, who: &str) -> crate::http::Answer {
    client.get(&format!("/api/v1/identity/{who}"))
}

fn identities(keyed: &Client, what: &str) -> u64 {
    let stats = keyed.get("/internal/cache/stats").expect(200);
    stats["overall"]["namespaces"]["did:resolve"][what].as_u64().unwrap()
}

/// What the network tells of a change of handle.
fn told(who: &str, handle: &str, time: &str) -> Value {
    json!({
        "event_type": "identity.updated",
        "did": who,
        "payload": {"handle": handle, "time": time},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_asked_for_once_and_forgotten_with_an_event() {
    let peer = Peer::start().await;
    let server = Data::new().serve_with(&[
        ("ATPROTO_PLC_URL", peer.plc_url()),
        ("ATPROTO_PDS_URL", peer.pds_url()),
        ("ALLOW_PRIVATE_ADDRESSES", "true"),
    ]);
    let (client, keyed) = (server.anybody(), server.keyed());
    let alice = peer.create_account("alice").await;

    let by_did = ask(&client, &alice.did).expect(200);
    assert_eq!(
        (&by_did["did"], &by_did["handle"], &by_did["pds"]),
        (&alice.did.as_str().into(), &"alice.test".into(), &peer.pds_url().into())
    );
    assert!(by_did["signing_key"].as_str().unwrap().starts_with("did:key:z"), "{by_did}");
    assert_eq!(ask(&client, "alice.test").expect(200), by_did);
    assert_eq!(ask(&client, "@alice.test").expect(200), by_did);
    // The document once, whose the handle is once.
    assert_eq!((identities(&keyed, "misses"), identities(&keyed, "hits")), (2, 3));

    // Nobody told us: what is kept is served, unless it is asked for anew.
    peer.update_handle(&alice, "alicia.test").await;
    assert_eq!(ask(&client, &alice.did).expect(200)["handle"], "alice.test");
    // (What names somebody is no news of who they are.)
    tell(
        &server,
        &[knows("ann", "ben", 80), {
            let mut states = knows("ann", "cid", 80);
            states["payload"]["record"]["participants"][1] = alice.did.as_str().into();
            states
        }],
    );
    assert_eq!(ask(&client, &alice.did).expect(200)["handle"], "alice.test");
    let forced = ask(&client, &format!("{}?refresh=true", alice.did)).expect(200);
    assert_eq!(forced["handle"], "alicia.test");
    assert_eq!(ask(&client, &alice.did).expect(200)["handle"], "alicia.test");

    // An event purges document and handle.
    peer.update_handle(&alice, "queen.test").await;
    tell(&server, &[told(&alice.did, "queen.test", "2026-01-01T00:00:00Z")]);
    assert_eq!(ask(&client, &alice.did).expect(200)["handle"], "queen.test");
    assert_eq!(ask(&client, "alice.test").expect(404)["code"], "identity_not_found");
    assert_eq!(ask(&client, "queen.test").expect(200)["did"], alice.did);

    // A handle that is claimed and does not lead back is none.
    peer.claim_handle(&alice.did, "somebody-else.test").await;
    tell(&server, &[told(&alice.did, "somebody-else.test", "2026-01-02T00:00:00Z")]);
    let refuted = ask(&client, &alice.did).expect(200);
    assert_eq!((&refuted["handle"], &refuted["handle_check"]), (&Value::Null, &"refuted".into()));
    assert_eq!(ask(&client, "queen.test").expect(404)["code"], "identity_not_found");

    // Who is not there, twice: asked once.
    let misses = identities(&keyed, "none_misses");
    for _ in 0..2 {
        let never = ask(&client, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").expect(404);
        assert_eq!(never["code"], "identity_not_found");
    }
    assert_eq!(identities(&keyed, "none_misses"), misses + 1);
    keyed.post("/internal/cache/clear", &json!({"pattern": "did:resolve:*"})).expect(200);
    assert_eq!(ask(&client, &alice.did).expect(200), refuted);
}

fn alone(environment: &[(&str, &str)]) -> Server {
    Data::new().serve_with(environment)
}

#[test]
fn what_cannot_be_an_identity_is_told_and_not_asked_for() {
    let server = alone(&[("ATPROTO_PLC_URL", "http://127.0.0.1:9")]);
    let client = server.anybody();
    for (who, code) in [
        ("did:", "malformed"),
        ("did:plc", "malformed"),
        ("nobody", "malformed"),
        ("a..b", "malformed"),
        ("%00", "malformed"),
        ("did:key:zQ3sh", "unsupported_did"),
        ("did:plc:short", "impossible_identity"),
        ("alice.test", "impossible_identity"),
        ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa?refresh=maybe", "malformed"),
    ] {
        let problem = ask(&client, who).expect(400);
        assert_eq!(problem["code"], code, "{who}: {problem}");
    }
    // A host in a private network that somebody names is not asked, and not told of.
    let problem = ask(&client, "did:web:localhost").expect(400);
    assert!(!problem["detail"].as_str().unwrap().contains("127.0.0.1"), "{problem}");
}

#[test]
fn a_directory_that_is_away_is_said_to_be_and_nothing_is_kept_of_it() {
    // A port that nobody listens at.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let server = alone(&[("ATPROTO_PLC_URL", &format!("http://{address}"))]);
    let (client, keyed) = (server.anybody(), server.keyed());
    for _ in 0..8 {
        let answer = ask(&client, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
        let problem = answer.json();
        match answer.status {
            502 => assert_eq!(problem["code"], "identity_unreachable"),
            503 => {
                assert_eq!(problem["code"], "identity_unavailable");
                assert!(answer.header("retry-after").is_some(), "{problem}");
            }
            other => panic!("{other}: {problem}"),
        }
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains(&address.to_string()), "strangers need not know: {detail}");
    }
    assert_eq!(identities(&keyed, "hits") + identities(&keyed, "none_hits"), 0);
    // The rest of the server is as well as ever.
    tell(&server, &[knows("ann", "ben", 80)]);
    client.get(&format!("/api/v1/entities/{}", did("ann"))).expect(200);
}
