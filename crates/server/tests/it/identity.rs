//! Who is who, asked of a real PLC directory and PDS through the server.

use crate::{
    http::Client,
    people::{did, knows, tell},
    server::{Data, Server, wait_until},
};
use rhiz_testkit::{atproto::Peer, relay::Relay};
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

/// A message of a Jetstream about somebody's identity, which claims a handle.
fn message(n: i64, who: &str, handle: &str) -> String {
    let micros = 1_767_225_600_000_000 + n * 1_000_000;
    let time = jiff::Timestamp::from_microsecond(micros).unwrap();
    json!({
        "did": who, "time_us": micros, "kind": "identity",
        "identity": {"did": who, "handle": handle, "seq": n, "time": time.to_string()},
    })
    .to_string()
}

/// What a stream claims of a handle is nobody's word: it is looked up, both ways; and whoever is
/// nobody here is not asked about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_a_stream_claims_is_verified_under_a_lease() {
    let peer = Peer::start().await;
    let relay = Relay::start([]).await.unwrap();
    let url = relay.url();
    let server = Data::new().serve_with(&[
        ("ENABLE_FIREHOSE_INGEST", "true"),
        ("ATPROTO_FIREHOSE_URL", url.as_str()),
        ("ATPROTO_PLC_URL", peer.plc_url()),
        ("ATPROTO_PDS_URL", peer.pds_url()),
        ("ALLOW_PRIVATE_ADDRESSES", "true"),
    ]);
    let (client, keyed) = (server.anybody(), server.keyed());
    let alice = peer.create_account("alice").await;
    let nobody = peer.create_account("nobody").await;
    let mut states = knows("ann", "ben", 80);
    states["payload"]["record"]["participants"][1] = alice.did.as_str().into();
    tell(&server, &[states, told(&did("ann"), "ann.example.com", "2025-12-31T00:00:00Z")]);

    relay.push(message(1, &alice.did, "someone.else.test"));
    relay.push(message(2, &nobody.did, "nobody.test"));
    relay.push(message(3, &did("ann"), "liar.example.com"));
    let handle =
        |who: &str| client.get(&format!("/api/v1/entities/{who}")).expect(200)["handle"].clone();
    wait_until("alice's handle is known", || handle(&alice.did) == "alice.test");
    let by_handle = client.get("/api/v1/entities/by-handle/alice.test").expect(200);
    assert_eq!(by_handle["did"], alice.did.as_str());
    client.get("/api/v1/entities/by-handle/someone.else.test").expect(404);
    // There is no such DID as ann's, so the handle that an operator gave her is gone, too.
    wait_until("ann has no handle", || handle(&did("ann")).is_null());
    server.settled();
    let metrics = keyed.get("/internal/events/metrics").expect(200);
    assert_eq!(metrics["stages"]["enrichment"]["count"], 2, "{metrics}");
    assert_eq!(metrics["leased"], 0);

    // Changed at its home: the next event tells.
    peer.update_handle(&alice, "queen.test").await;
    relay.push(message(4, &alice.did, "queen.test"));
    wait_until("alice has another one", || handle(&alice.did) == "queen.test");
}

/// What cannot be asked now is asked again; meanwhile it holds up nobody, and nothing is changed.
#[test]
fn a_directory_that_is_away_holds_up_no_other_event() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = runtime.block_on(Relay::start([])).unwrap();
    let url = relay.url();
    let server = Data::new().serve_with(&[
        ("ENABLE_FIREHOSE_INGEST", "true"),
        ("ATPROTO_FIREHOSE_URL", url.as_str()),
        ("ATPROTO_PLC_URL", &address),
    ]);
    let who = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let mut states = knows("ann", "ben", 80);
    states["payload"]["record"]["participants"][1] = who.into();
    tell(&server, &[states, told(who, "known.example.com", "2025-12-31T00:00:00Z")]);
    relay.push(message(1, who, "claimed.example.com"));
    let keyed = server.keyed();
    wait_until("it waits for a retry", || {
        keyed.get("/internal/events/metrics").expect(200)["events_retried"] != 0
    });
    tell_now(&keyed, &[knows("cid", "dan", 80)]);
    let entity = server.anybody().get(&format!("/api/v1/entities/{who}")).expect(200);
    assert_eq!(entity["handle"], "known.example.com", "nothing is changed by not knowing");
}

/// Tells, and waits for these alone.
fn tell_now(keyed: &Client, events: &[Value]) {
    for event in events {
        let id = keyed.post("/internal/events", event).expect(202)["event_id"].clone();
        let path = format!("/internal/events/{}", id.as_str().unwrap());
        wait_until("it is done", || keyed.get(&path).expect(200)["state"] == "done");
    }
}
