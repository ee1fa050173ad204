//! Handles: by DNS, by `/.well-known/atproto-did`, and back.

use crate::internet::{Internet, PUBLIC, Page, Said, did, handle, permanent, temporary};
use hickory_resolver::proto::rr::RecordType;
use rhiz_identity::{HandleCheck, ResolveError};
use std::time::Duration;

const ALICE: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const BOB: &str = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";
const WELL_KNOWN: &str = "alice.people.net/.well-known/atproto-did";

/// alice.people.net with a web server.
async fn alice() -> Internet {
    let net = Internet::start().await;
    net.host("alice.people.net", PUBLIC);
    net
}

#[tokio::test]
async fn a_txt_record_names_a_did() {
    let net = Internet::start().await;
    net.txt("alice.people.net", &["v=spf1 -all", "did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]);
    let found = net.resolver().resolve_handle(&handle("Alice.People.net")).await;
    assert_eq!(found, Ok(Some(did(ALICE))));
}

#[tokio::test]
async fn a_txt_record_may_come_in_pieces_and_twice() {
    let net = Internet::start().await;
    let long = format!("did:web:{}.people.net", "a".repeat(60));
    let (one, two) = long.split_at(20);
    let pieces = Said::Pieces(vec!["did=".into(), one.into(), two.into()]);
    net.say("_atproto.alice.people.net", RecordType::TXT, pieces);
    let found = net.resolver().resolve_handle(&handle("alice.people.net")).await;
    assert_eq!(found, Ok(Some(did(&long))));
    net.txt("bob.people.net", &["did=did:plc:b", "did=did:plc:b"]);
    let found = net.resolver().resolve_handle(&handle("bob.people.net")).await;
    assert_eq!(found, Ok(Some(did("did:plc:b"))));
}

#[tokio::test]
async fn records_that_name_several_dids_name_nobody() {
    let net = alice().await;
    net.txt("alice.people.net", &["did=did:plc:a", "did=did:plc:b"]);
    net.body(WELL_KNOWN, ALICE);
    let error = permanent(net.resolver().resolve_handle(&handle("alice.people.net")).await);
    assert_eq!(error.code(), "ambiguous_handle");
}

#[tokio::test]
async fn without_a_record_the_web_is_asked() {
    let net = alice().await;
    net.body(WELL_KNOWN, &format!("{ALICE}\n"));
    // A record that names no DID is none.
    net.txt("alice.people.net", &["did=nonsense", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"]);
    let found = net.resolver().resolve_handle(&handle("alice.people.net")).await;
    assert_eq!(found, Ok(Some(did(ALICE))));
    assert_eq!(net.asked(), [WELL_KNOWN]);
}

#[tokio::test]
async fn dns_wins_whichever_answers_first() {
    let net = alice().await;
    net.body(WELL_KNOWN, BOB);
    net.txt("alice.people.net", &["did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]);
    let resolver = net.resolver();
    for _ in 0..20 {
        let found = resolver.resolve_handle(&handle("alice.people.net")).await;
        assert_eq!(found, Ok(Some(did(ALICE))));
    }
    // A web server that hangs holds nobody up when there is a record.
    net.page(WELL_KNOWN, Page::Hangs);
    let found = resolver.resolve_handle(&handle("alice.people.net")).await;
    assert_eq!(found, Ok(Some(did(ALICE))));
}

#[tokio::test]
async fn dns_wins_when_it_answers_last() {
    let net = alice().await;
    net.body(WELL_KNOWN, BOB);
    let late = Said::AfterTheWeb("did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    net.say("_atproto.alice.people.net", RecordType::TXT, late);
    let found = net.resolver().resolve_handle(&handle("alice.people.net")).await;
    assert_eq!(found, Ok(Some(did(ALICE))));
    assert_eq!(net.asked(), [WELL_KNOWN]);
}

#[tokio::test]
async fn no_redirect_leads_from_https_to_http_not_even_in_a_closed_network() {
    let net = alice().await;
    net.body("127.0.0.1/alice", ALICE);
    let location = format!("http://{}/alice", net.plc);
    net.page(WELL_KNOWN, Page::Status(302, vec![("location", location)]));
    let resolver = net.resolver_with(|c| c.allow_private_addresses = true);
    assert_eq!(resolver.resolve_handle(&handle("alice.people.net")).await, Ok(None));
    assert_eq!(net.asked(), [WELL_KNOWN]);
}

#[tokio::test]
async fn what_is_no_did_is_nobodys() {
    let net = alice().await;
    let resolver = net.resolver();
    let page = |status, headers| Page::Status(status, headers);
    for nothing in [
        Page::Body("<!doctype html><title>Alice</title>".into()),
        Page::Body(String::new()),
        Page::Body(format!("did={ALICE}")),
        Page::Body(format!("{ALICE}\n{BOB}")),
        Page::Long(3000),
        Page::Long(5_000_000),
        page(404, vec![]),
        page(403, vec![]),
        page(302, vec![]),
        page(302, vec![("location", "ftp://people.net/".into())]),
        page(302, vec![("location", "http://other.org/".into())]),
    ] {
        net.page(WELL_KNOWN, nothing.clone());
        let found = resolver.resolve_handle(&handle("alice.people.net")).await;
        assert_eq!(found, Ok(None), "{nothing:?}");
    }
    let unheard_of = resolver.resolve_handle(&handle("nobody.people.net")).await;
    assert_eq!(unheard_of, Ok(None));
}

#[tokio::test]
async fn a_handle_may_redirect_three_times() {
    let net = alice().await;
    net.host("other.org", PUBLIC);
    let to = |path: &str| {
        let location = format!("https://other.org:{}/{path}", net.port);
        Page::Status(302, vec![("location", location)])
    };
    net.page(WELL_KNOWN, to("1"));
    net.page("other.org/1", to("2"));
    net.page("other.org/2", to("3"));
    net.body("other.org/3", ALICE);
    let resolver = net.resolver();
    let found = resolver.resolve_handle(&handle("alice.people.net")).await;
    assert_eq!(found, Ok(Some(did(ALICE))));
    net.page("other.org/3", to("4"));
    net.body("other.org/4", ALICE);
    assert_eq!(resolver.resolve_handle(&handle("alice.people.net")).await, Ok(None));
    assert!(!net.asked().contains(&"other.org/4".to_owned()));
}

#[tokio::test]
async fn failures_of_name_servers_and_hosts_are_temporary() {
    let net = alice().await;
    let resolver = net.resolver();
    let alice = handle("alice.people.net");
    net.say("_atproto.alice.people.net", RecordType::TXT, Said::ServFail);
    assert_eq!(temporary(resolver.resolve_handle(&alice).await).code(), "dns");
    // The other way is still good.
    net.body(WELL_KNOWN, ALICE);
    assert_eq!(resolver.resolve_handle(&alice).await, Ok(Some(did(ALICE))));
    net.page(WELL_KNOWN, Page::Status(503, vec![("retry-after", "7".into())]));
    net.txt("alice.people.net", &[]);
    let error = temporary(resolver.resolve_handle(&alice).await);
    assert_eq!(error.code(), "server_error");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let resolver = net.resolver_with(|c| c.timeout = Duration::from_millis(500));
    for never in [Page::Hangs, Page::Stalls] {
        net.page(WELL_KNOWN, never);
        assert_eq!(temporary(resolver.resolve_handle(&alice).await).code(), "timed_out");
    }
    let silent = handle("bob.people.net");
    net.say("_atproto.bob.people.net", RecordType::TXT, Said::Nothing);
    assert_eq!(temporary(resolver.resolve_handle(&silent).await).code(), "timed_out");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_not_taken() {
    let net = Internet::start().await;
    net.host("alice.elsewhere.net", PUBLIC);
    net.body("alice.elsewhere.net/.well-known/atproto-did", ALICE);
    let error = temporary(net.resolver().resolve_handle(&handle("alice.elsewhere.net")).await);
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(net.asked(), [""; 0]);
}

#[tokio::test]
async fn disallowed_handles_are_not_asked_at_all() {
    let net = Internet::start().await;
    for name in ["alice.local", "alice.internal", "alice.onion", "alice.test", "handle.invalid"] {
        let error = permanent(net.resolver().resolve_handle(&handle(name)).await);
        assert_eq!(error.code(), "disallowed_handle");
    }
    assert_eq!(net.looked_up(), [""; 0]);
}

#[tokio::test]
async fn a_handle_counts_when_both_sides_say_so() {
    let net = alice().await;
    net.claim(ALICE, "alice.people.net");
    net.txt("alice.people.net", &["did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]);
    let resolver = net.resolver();
    let who = resolver.resolve(&did(ALICE)).await.unwrap().unwrap();
    assert_eq!(who.handle, Some(handle("alice.people.net")));
    assert_eq!(who.handle_check, HandleCheck::Verified);
    assert_eq!(who.shown_handle(), "alice.people.net");

    // Bob claims Alice's.
    net.claim(BOB, "alice.people.net");
    let who = resolver.resolve(&did(BOB)).await.unwrap().unwrap();
    assert_eq!((who.handle.clone(), who.handle_check), (None, HandleCheck::Refuted));
    assert_eq!(who.claimed_handle, Some(handle("alice.people.net")));
    assert_eq!(who.shown_handle(), "handle.invalid");

    // One that may not be used, one that nobody has, and none.
    for (claimed, check) in [
        ("bob.local", HandleCheck::Refuted),
        ("bob.people.net", HandleCheck::Refuted),
        ("not a handle", HandleCheck::NotClaimed),
    ] {
        net.claim(BOB, claimed);
        let who = resolver.resolve(&did(BOB)).await.unwrap().unwrap();
        assert_eq!((who.handle.clone(), who.handle_check), (None, check), "{claimed}");
        assert!(who.is_complete());
    }
}

#[tokio::test]
async fn a_handle_that_cannot_be_asked_is_unknown_and_the_rest_is_there() {
    let net = Internet::start().await;
    net.claim(ALICE, "alice.people.net");
    net.say("_atproto.alice.people.net", RecordType::TXT, Said::ServFail);
    let who = net.resolver().resolve(&did(ALICE)).await.unwrap().unwrap();
    assert_eq!((who.handle.clone(), who.handle_check), (None, HandleCheck::Unknown));
    assert!(!who.is_complete());
    assert_eq!(who.did, did(ALICE));
}

#[tokio::test]
async fn test_handles_are_asked_where_the_operator_says_and_only_when_private_is_allowed() {
    let net = Internet::start().await;
    net.body("alice.test/.well-known/atproto-did", ALICE);
    let at = rhiz_identity::Url::parse(&format!("http://{}/", net.plc)).unwrap();
    let allowed = net.resolver_with(|c| {
        c.test_handles = Some(at.clone());
        c.allow_private_addresses = true;
    });
    assert_eq!(allowed.resolve_handle(&handle("alice.test")).await, Ok(Some(did(ALICE))));
    assert_eq!(allowed.resolve_handle(&handle("bob.test")).await, Ok(None));
    assert_eq!(net.looked_up(), [""; 0]);
    let refused = net.resolver_with(|c| c.test_handles = Some(at));
    let error = permanent(refused.resolve_handle(&handle("alice.test")).await);
    assert!(matches!(error, ResolveError::DisallowedHandle { .. }));
}
