//! What is not for everybody, over HTTP, as everybody asks.

use crate::{
    http::Client,
    people::{
        account, did, forgets, knows, neighbours, path, profile, relationship, says, tell, under,
        uri,
    },
    server::Server,
};
use rhiz_domain::{Clock, clock::SystemClock};
use serde_json::Value;
use std::time::Duration;

/// A deletion, a refusal or a change of account status is in every answer so long after its commit.
const LIMIT: Duration = Duration::from_secs(1);

fn stat(client: &Client, name: &str) -> u64 {
    client.get("/api/v1/analytics/network-stats").expect(200)[name].as_u64().unwrap()
}

/// Whether somebody exists, by each answer that could tell.
fn everywhere(client: &Client, who: &str) -> [bool; 5] {
    let did = did(who);
    let there = |path: &str| client.get(&format!("/api/v1/{path}/{did}")).status == 200;
    let found = client.get(&format!("/api/v1/entities?q={did}")).expect(200);
    [
        there("entities"),
        there("graph/neighbors"),
        there("analytics/trust-metrics"),
        there("analytics/trust-health"),
        !found["entities"].as_array().unwrap().is_empty(),
    ]
}

const THERE: [bool; 5] = [true; 5];
const NOWHERE: [bool; 5] = [false; 5];

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|n| (*n).to_owned()).collect())
}

#[test]
fn what_is_private_does_not_exist_for_others() {
    let server = Server::new();
    let client = server.anybody();
    tell(&server, &[knows("ann", "ben", 80), knows("ben", "cid", 80)]);
    let before = client.get("/api/v1/analytics/network-stats").expect(200);
    tell(
        &server,
        &[
            under(knows("ann", "cid", 90), "private", "full"),
            under(knows("ann", "zoe", 90), "private", "full"),
            under(knows("zoe", "ann", 90), "private", "full"),
            // What is said of a private relationship is private with it.
            says("ben", "verify", "ann", "zoe"),
        ],
    );
    for client in [server.anybody(), server.keyed()] {
        for (owner, subject) in [("ann", "cid"), ("ann", "zoe"), ("zoe", "ann")] {
            let answer = relationship(&client, owner, subject);
            assert_eq!(answer.expect(404)["code"], "relationship_not_found");
        }
        assert_eq!(everywhere(&client, "zoe"), NOWHERE);
        assert_eq!(neighbours(&client, "ann"), names(&["ben"]));
        assert_eq!(neighbours(&client, "zoe"), None);
        assert_eq!(path(&client, "ann", "cid"), names(&["ann", "ben", "cid"]));
        assert_eq!(path(&client, "ann", "zoe"), None);
    }
    let mut after = client.get("/api/v1/analytics/network-stats").expect(200);
    for of in ["graph_version", "avg_version"] {
        after[of] = before[of].clone();
    }
    assert_eq!(after, before, "it is in no count and no score");
    let metrics = client.get("/api/v1/analytics/trust-metrics/did:plc:ann?explain=true");
    let metrics = metrics.expect(200);
    assert_eq!(metrics["relationship_count"], 1);
    assert!(
        !metrics.to_string().contains("zoe") && !metrics.to_string().contains("cid"),
        "{metrics}"
    );
    // Made public, it is there; made private again, it is gone.
    tell(&server, &[knows("ann", "zoe", 90)]);
    assert_eq!(everywhere(&client, "zoe"), THERE);
    assert_eq!(path(&client, "ann", "zoe"), names(&["ann", "zoe"]));
    tell(&server, &[under(knows("ann", "zoe", 90), "private", "full")]);
    assert_eq!(everywhere(&client, "zoe"), NOWHERE);
    assert_eq!(path(&client, "ann", "zoe"), None);
}

#[test]
fn what_is_for_the_network_is_a_hop_without_its_texts() {
    let server = Server::new();
    let client = server.anybody();
    tell(&server, &[under(knows("ann", "ben", 80), "network", "full"), knows("ben", "cid", 80)]);
    assert_eq!(path(&client, "ann", "cid"), names(&["ann", "ben", "cid"]));
    assert_eq!(neighbours(&client, "ann"), names(&["ben"]));
    let hidden = relationship(&client, "ann", "ben").expect(200);
    assert_eq!(
        (&hidden["strength"], &hidden["type"], &hidden["visibility"]),
        (&0.8.into(), &"professional".into(), &"network".into())
    );
    assert_eq!((&hidden["context"], &hidden["history"]), (&Value::Null, &Value::Null));
    assert!(!hidden.to_string().contains("harbour"), "{hidden}");
    assert_eq!(relationship(&client, "ben", "cid").expect(200)["context"], "met at the harbour");
    // The stricter setting of the two sides governs the pair.
    tell(&server, &[knows("ben", "ann", 80)]);
    let other = relationship(&client, "ben", "ann").expect(200);
    assert_eq!((&other["visibility"], &other["context"]), (&"network".into(), &Value::Null));
}

#[test]
fn who_is_anonymous_counts_and_is_named_by_nobody() {
    let server = Server::new();
    let client = server.anybody();
    tell(&server, &[knows("ann", "ben", 80), knows("ben", "cid", 80)]);
    let before = stat(&client, "total_relationships");
    tell(
        &server,
        &[
            under(knows("ann", "cid", 100), "public", "anonymous"),
            under(knows("ann", "dora", 100), "public", "anonymous"),
        ],
    );
    assert_eq!(stat(&client, "total_relationships"), before + 2);
    assert_eq!(everywhere(&client, "dora"), THERE, "it names its entities all the same");
    assert_eq!(neighbours(&client, "ann"), names(&["ben"]));
    assert_eq!(neighbours(&client, "dora"), names(&[]));
    assert_eq!(path(&client, "ann", "cid"), names(&["ann", "ben", "cid"]));
    assert_eq!(path(&client, "ann", "dora"), None);
    // A weaker public record does not stand in for the stronger one, nor does the other side's.
    tell(&server, &[knows("dora", "ann", 50)]);
    assert_eq!(path(&client, "ann", "dora"), None);
    let explained =
        client.get("/api/v1/analytics/trust-metrics/did:plc:cid?explain=true").expect(200);
    assert!(!explained.to_string().contains("did:plc:ann"), "{explained}");
}

/// What is predicted that Ann would state about Cid: mean, her bias, his, and reciprocity.
fn predicted(client: &Client) -> [f64; 4] {
    let path = "/api/v1/analytics/predict?from=did:plc:ann&to=did:plc:cid";
    let answer = client.get(path).expect(200);
    ["mean", "rater", "ratee", "reciprocity"].map(|name| answer["addends"][name].as_f64().unwrap())
}

#[test]
fn a_prediction_knows_nothing_of_what_is_anonymous() {
    let server = Server::new();
    let client = server.anybody();
    tell(&server, &[knows("ann", "ben", 50), knows("ben", "ann", 50), knows("cid", "ben", 50)]);
    let before = predicted(&client);
    // He states her, and she once stated another: neither is to be seen from her prediction.
    tell(
        &server,
        &[
            under(knows("cid", "ann", 100), "public", "anonymous"),
            under(knows("ann", "dora", 100), "public", "anonymous"),
            under(knows("dora", "cid", 100), "private", "full"),
        ],
    );
    assert_eq!(predicted(&client), before);
    tell(&server, &[knows("cid", "ann", 100)]);
    assert!(predicted(&client)[3] > 0.1, "said openly, it is: {:?}", predicted(&client));
}

#[test]
fn a_prediction_has_forgotten_what_is_withdrawn_within_a_second() {
    let server = Server::new();
    let client = server.anybody();
    // All at the mean: no bias, in whatever order it is learned.
    tell(&server, &[knows("ben", "ann", 50), knows("cid", "ben", 50)]);
    let nothing = [0.5, 0.0, 0.0, 0.0];
    assert_eq!(predicted(&client), nothing);
    let said = || knows("ann", "eve", 100);
    tell(&server, &[said()]);
    // Of two revisions the later one counts: these are made in the order in which they are told.
    let away = || account("eve", false, Some("deactivated"));
    let ways = [
        ("refused", says("eve", "dispute", "ann", "eve"), says("eve", "verify", "ann", "eve")),
        ("private", under(said(), "private", "full"), said()),
        ("anonymous", under(said(), "public", "anonymous"), said()),
        ("gone with her account", away(), account("eve", true, None)),
        ("deleted", forgets("ann", "eve"), said()),
    ];
    for (how, withdrawn, again) in ways {
        assert!(predicted(&client)[1] > 0.0, "{how}: {:?}", predicted(&client));
        tell(&server, &[withdrawn]);
        soon(how, || predicted(&client) == nothing);
        tell(&server, &[again]);
    }
}

/// Waits until it is so, and that was soon enough.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::default();
    while !is_so() {
        assert!(clock.elapsed() < LIMIT, "{what}: not in every answer after {LIMIT:?}");
    }
}

#[test]
fn a_refusal_a_deletion_or_a_lost_account_is_in_every_answer_within_a_second() {
    let server = Server::new();
    let (client, keyed) = (server.anybody(), server.keyed());
    let detour: &[&str] = &["ann", "dan", "eli", "cid"];
    let direct: &[&str] = &["ann", "ben", "cid"];
    tell(
        &server,
        &[
            profile("ben", "Ben Benson"),
            knows("ann", "ben", 90),
            knows("ben", "cid", 90),
            knows("ann", "dan", 60),
            knows("dan", "eli", 60),
            knows("eli", "cid", 60),
        ],
    );
    let ask = || path(&client, "ann", "cid");
    let relationships = || stat(&client, "total_relationships");
    let found = || {
        let found = client.get("/api/v1/entities?q=benson").expect(200);
        found["entities"].as_array().unwrap().len()
    };
    let near = |who: &str| neighbours(&client, who).unwrap_or_default();
    // So that the answers below could come from the cache.
    for _ in 0..3 {
        assert_eq!(ask(), names(direct));
    }
    let stats = keyed.get("/internal/cache/stats").expect(200);
    assert!(stats["overall"]["total"]["hits"].as_u64().unwrap() > 0, "{stats}");
    // How long a commit takes is the disk's affair; after it the second begins.
    let post = |event: &Value| tell(&server, std::slice::from_ref(event));

    // Ben says no to what Ann states of him, and takes it back.
    assert_eq!(relationships(), 5);
    post(&says("ben", "dispute", "ann", "ben"));
    soon("the refusal", || {
        ask() == names(detour)
            && !near("ann").contains(&"ben".into())
            && !near("ben").contains(&"ann".into())
            && relationships() == 4
            && relationship(&client, "ann", "ben").expect(200)["refused"] == true
    });
    post(&says("ben", "verify", "ann", "ben"));
    soon("taking it back", || ask() == names(direct) && relationships() == 5);

    // Ben's account is switched off, and on.
    post(&account("ben", false, Some("deactivated")));
    soon("the deactivation", || {
        ask() == names(detour)
            && everywhere(&client, "ben") == NOWHERE
            && found() == 0
            && !near("ann").contains(&"ben".into())
            && !near("cid").contains(&"ben".into())
            && relationships() == 3
            && relationship(&client, "ben", "cid").status == 404
    });
    post(&account("ben", true, None));
    soon("the return", || {
        ask() == names(direct)
            && everywhere(&client, "ben") == THERE
            && found() == 1
            && relationships() == 5
            && relationship(&client, "ben", "cid").status == 200
    });

    // One hop is deleted.
    post(&forgets("ben", "cid"));
    soon("the deletion", || {
        ask() == names(detour)
            && near("cid") == ["eli"]
            && near("ben") == ["ann"]
            && relationships() == 4
            && relationship(&client, "ben", "cid").status == 404
    });
    post(&knows("ben", "cid", 90));
    soon("stating it again", || ask() == names(direct));

    // Ben deletes his account: for good, even should somebody open it again.
    post(&account("ben", false, Some("deleted")));
    soon("the end of the account", || {
        ask() == names(detour) && everywhere(&client, "ben") == NOWHERE && found() == 0
    });
    post(&account("ben", true, None));
    server.settled();
    assert_eq!(found(), 0, "his profile is gone");
    assert_eq!(relationship(&client, "ben", "cid").status, 404, "and what he stated");
    assert_eq!(near("ann"), ["ben", "dan"], "what others state of him is theirs");
    assert_eq!(ask(), names(detour));
}

#[test]
fn a_kept_path_is_never_served_after_a_hop_is_gone() {
    let server = Server::new();
    tell(&server, &[knows("ben", "cid", 90), knows("ann", "dan", 60), knows("dan", "cid", 60)]);
    // Others ask all the time, so that the answer is always in the cache.
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let client = server.anybody();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    path(&client, "ann", "cid");
                }
            });
        }
        // However this ends, the others end with it.
        let _end = End(&done);
        let client = server.anybody();
        for _ in 0..30 {
            tell(&server, &[knows("ann", "ben", 90)]);
            assert_eq!(path(&client, "ann", "cid"), names(&["ann", "ben", "cid"]));
            tell(&server, &[forgets("ann", "ben")]);
            let without = path(&client, "ann", "cid");
            assert_eq!(without, names(&["ann", "dan", "cid"]), "{}", uri("ann", "ben"));
        }
    });
}

/// Says that it is over when it is dropped.
struct End<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
