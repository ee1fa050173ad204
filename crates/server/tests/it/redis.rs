//! Answers kept in a real Redis (`CACHE_BACKEND=redis`), behind a memory that holds one value.

use crate::{
    http::Client,
    people::{did, knows, profile, says, tell, uri},
    server::{Data, Server, wait_until},
};
use rhiz_testkit::{
    atproto::{Account, Peer},
    redis::RedisServer,
};
use serde_json::{Value, json};

/// One question of each namespace.
fn questions(alice: &Account) -> [(&'static str, String); 6] {
    let (ann, uri) = (did("ann"), uri("ann", "ben").replace('/', "%2F"));
    [
        ("did:resolve", format!("/api/v1/identity/{}?x=1", alice.did)),
        ("graph:path", format!("/xrpc/net.rhiz.graph.findPath?from={ann}&to={}", did("cid"))),
        ("graph:neighbors", format!("/api/v1/graph/neighbors/{ann}?limit=7")),
        ("trust:score", format!("/api/v1/analytics/trust-metrics/{ann}?explain=false")),
        ("conviction", format!("/xrpc/net.rhiz.conviction.getScore?uri={uri}")),
        ("entity", format!("/api/v1/entities/{ann}?x=1")),
    ]
}

/// All of them asked in turn; `more` is added to each.
fn answers(client: &Client, questions: &[(&str, String)], more: &str) -> Vec<Value> {
    let ask = |question: &str| timeless(client.get(&format!("{question}{more}")).expect(200));
    questions.iter().map(|(_, question)| ask(question)).collect()
}

/// Without the moments at which something was worked out.
fn timeless(mut answer: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(strip),
            Value::Array(values) => values.iter_mut().for_each(strip),
            Value::String(text) if text.len() >= 20 && text.ends_with('Z') => text.clear(),
            _ => {}
        }
    }
    strip(&mut answer);
    answer
}

fn stats(keyed: &Client) -> Value {
    keyed.get("/internal/cache/stats").expect(200)
}

/// Hits by namespace, of memory and of Redis.
fn hits(keyed: &Client, questions: &[(&str, String)]) -> Vec<[u64; 2]> {
    let stats = stats(keyed);
    let of = |scope: &Value, name: &str| scope["namespaces"][name]["hits"].as_u64().unwrap();
    let both = |name| [of(&stats["memory"], name), of(&stats["redis"]["lookups"], name)];
    questions.iter().map(|(name, _)| both(name)).collect()
}

/// Asks everything in turn until all are hits, of Redis but for the one that memory may hold; what
/// was just written is read from there once Redis has confirmed it, at the next probe.
fn all_hit(client: &Client, keyed: &Client, questions: &[(&str, String)], expected: &[Value]) {
    let before = hits(keyed, questions);
    wait_until("everything is in Redis", || {
        assert_eq!(answers(client, questions, ""), expected);
        let after = hits(keyed, questions);
        let grown: Vec<_> =
            before.iter().zip(&after).map(|(b, a)| [a[0] > b[0], a[1] > b[1]]).collect();
        grown.iter().all(|[memory, redis]| *memory || *redis)
            && grown.iter().filter(|[_, redis]| *redis).count() + 1 >= questions.len()
    });
}

/// Waits until Redis is in use, or is not.
fn wait_for(keyed: &Client, up: bool) {
    wait_until(&format!("Redis is up: {up}"), || stats(keyed)["redis"]["up"] == up);
}

/// Everything that is asked for changes: who Alice is, how Ann is called, how well she knows
/// Ben, and who says so.
async fn change(server: &Server, peer: &Peer, alice: &Account, round: u8) {
    let handle = format!("alice{round}.test");
    peer.update_handle(alice, &handle).await;
    let renamed = json!({
        "event_type": "identity.updated",
        "did": alice.did,
        "payload": {"handle": handle, "time": format!("2026-01-0{}T00:00:00Z", round + 1)},
    });
    let known = knows("ann", "ben", 70 - 3 * round);
    let said = says(&format!("witness{round}"), "verify", "ann", "ben");
    tell(server, &[renamed, profile("ann", &format!("Ann {round}")), known, said]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_from_redis_change_with_events_and_outlive_its_death() {
    let mut redis = RedisServer::start();
    let peer = Peer::start().await;
    let server = Data::new().serve_with(&[
        ("CACHE_BACKEND", "redis"),
        ("REDIS_URL", &format!("redis://{}/", redis.address())),
        ("CACHE_MAX_MEMORY_SIZE", "1"),
        ("ATPROTO_PLC_URL", peer.plc_url()),
        ("ATPROTO_PDS_URL", peer.pds_url()),
        ("ALLOW_PRIVATE_ADDRESSES", "true"),
    ]);
    let (client, keyed) = (server.anybody(), server.keyed());
    wait_for(&keyed, true);
    let alice = peer.create_account("alice").await;
    let told = [
        profile("ann", "Ann"),
        knows("ann", "ben", 80),
        knows("ben", "ann", 70),
        knows("ben", "cid", 90),
        says("cid", "verify", "ann", "ben"),
    ];
    tell(&server, &told);
    let questions = questions(&alice);

    // Computed; from Redis, as memory held one of them; and from memory, asked again and again.
    let mut now = answers(&client, &questions, "");
    all_hit(&client, &keyed, &questions, &now);
    for (n, (name, question)) in questions.iter().enumerate() {
        let before = hits(&keyed, &questions)[n][0];
        // The place in memory is won by whoever is asked for more.
        wait_until(&format!("{name} is in memory"), || {
            client.get(question).expect(200);
            hits(&keyed, &questions)[n][0] > before
        });
    }

    // With an event while Redis is there; while it is silent, with all it held when it comes back;
    // while it is dead, with nothing left.
    for round in 1..=3 {
        match round {
            2 => redis.signal("STOP"),
            3 => redis.kill(),
            _ => {}
        }
        if round > 1 {
            wait_for(&keyed, false);
            assert_eq!(answers(&client, &questions, ""), now, "round {round}: memory serves");
        }
        change(&server, &peer, &alice, round).await;
        let then = answers(&client, &questions, "");
        for (n, (name, _)) in questions.iter().enumerate() {
            assert_ne!(then[n], now[n], "round {round}: {name} is stale");
        }
        match round {
            2 => redis.signal("CONT"),
            3 => redis.start_again(),
            _ => {}
        }
        wait_for(&keyed, true);
        assert_eq!(answers(&client, &questions, ""), then, "round {round}: Redis is back");
        assert_eq!(answers(&client, &questions, "&refresh=true"), then);
        all_hit(&client, &keyed, &questions, &then);
        now = then;
    }
    assert!(stats(&keyed)["redis"]["outages"].as_u64() >= Some(2));
}
