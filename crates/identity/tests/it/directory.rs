//! did:plc, against a directory that misbehaves as it is told to.

use crate::internet::{Internet, Page, did, permanent, temporary};
use futures_util::future::join_all;
use rhiz_identity::{ResolveError, Url};
use std::time::Duration;

const ALICE: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn nobody_is_none_and_only_a_directory_says_so() {
    let net = Internet::start().await;
    let resolver = net.resolver();
    assert_eq!(resolver.resolve(&did(ALICE)).await, Ok(None));
    let json = vec![("content-type", "application/json".to_owned())];
    net.plc(ALICE, Page::Status(410, json));
    assert_eq!(resolver.resolve(&did(ALICE)).await, Ok(None));
    // Something else answers at the directory's address.
    net.plc(ALICE, Page::Status(404, vec![("content-type", "text/html".into())]));
    let error = temporary(resolver.resolve(&did(ALICE)).await);
    assert!(error.to_string().contains("no PLC directory"), "{error}");
}

#[tokio::test]
async fn impossible_dids_are_not_asked() {
    let net = Internet::start().await;
    let resolver = net.resolver();
    for text in
        ["did:plc:short", "did:plc:AAAAAAAAAAAAAAAAAAAAAAAA", "did:plc:a1aaaaaaaaaaaaaaaaaaaaaa"]
    {
        assert_eq!(permanent(resolver.resolve(&did(text)).await).code(), "impossible_did");
    }
    for text in ["did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc", "did:example:x"] {
        assert_eq!(permanent(resolver.resolve(&did(text)).await).code(), "unsupported_method");
    }
    assert_eq!(net.asked(), [""; 0]);
}

#[tokio::test]
async fn bad_answers_are_permanent_and_never_read_whole() {
    let net = Internet::start().await;
    let resolver = net.resolver();
    for (page, code) in [
        (Page::Body("<html>".into()), "malformed_document"),
        (Page::Body(r#"{"id": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}"#.into()), "document_of_another"),
        (Page::Body(format!(r#"{{"id": "{ALICE}{}"}}"#, " ".repeat(70_000))), "too_large"),
        (Page::Long(70_000), "too_large"),
        (Page::Long(50_000_000), "too_large"),
        (Page::Status(400, vec![]), "refused"),
        (Page::Status(301, vec![("location", "/elsewhere".into())]), "forbidden_url"),
    ] {
        net.plc(ALICE, page);
        assert_eq!(permanent(resolver.resolve(&did(ALICE)).await).code(), code);
    }
}

#[tokio::test]
async fn a_dead_directory_is_left_alone() {
    let net = Internet::start().await;
    let resolver = net.resolver();
    net.plc(ALICE, Page::Status(500, vec![]));
    for _ in 0..3 {
        assert_eq!(temporary(resolver.resolve(&did(ALICE)).await).code(), "server_error");
    }
    let crowd = (0..100).map(|_| async { temporary(resolver.resolve(&did(ALICE)).await) });
    for error in join_all(crowd).await {
        assert_eq!(error.code(), "left_alone");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }
    assert_eq!(net.asked().len(), 3);
    // One probe of many goes when the wait is over, and its answer lets the others in.
    net.clock.advance(Duration::from_secs(1));
    net.claim(ALICE, "none");
    let alice = did(ALICE);
    let crowd = join_all((0..100).map(|_| resolver.resolve(&alice))).await;
    assert!(crowd.iter().any(Result::is_ok));
    let asked = net.asked().len();
    assert_eq!(asked, 3 + crowd.iter().filter(|r| r.is_ok()).count());
    assert!(resolver.resolve(&did(ALICE)).await.unwrap().is_some());
}

#[tokio::test]
async fn too_many_requests_are_answered_with_silence() {
    let net = Internet::start().await;
    let resolver = net.resolver();
    let for_ever = u64::MAX.to_string();
    let date = "Sun, 01 Nov 2026 00:01:30 GMT";
    for (said, wait) in [("30", 30), (date, 60), (&for_ever, 3600)] {
        net.plc(ALICE, Page::Status(429, vec![("retry-after", said.into())]));
        let error = temporary(resolver.resolve(&did(ALICE)).await);
        let wait = Duration::from_secs(wait);
        assert_eq!(error.retry_after(), Some(wait), "{error}");
        let error = temporary(resolver.resolve(&did(ALICE)).await);
        assert_eq!((error.code(), error.retry_after()), ("left_alone", Some(wait)));
        net.clock.advance(wait);
    }
    assert_eq!(net.asked().len(), 3);
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let net = Internet::start().await;
    let resolver = net.resolver_with(|c| {
        c.max_concurrent = 4;
        c.timeout = Duration::from_millis(400);
    });
    net.plc(ALICE, Page::Hangs);
    let alice = did(ALICE);
    let crowd = join_all((0..50).map(|_| resolver.document(&alice))).await;
    crowd.into_iter().for_each(|r| drop(temporary(r)));
    assert_eq!(net.most_at_once(), 4);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_temporary() {
    let net = Internet::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    for (url, code) in [
        (format!("http://{nobody}"), "unreachable"),
        ("http://plc.people.net".into(), "unreachable"),
    ] {
        let resolver = net.resolver_with(|c| c.plc_url = Url::parse(&url).unwrap());
        assert_eq!(temporary(resolver.resolve(&did(ALICE)).await).code(), code);
    }
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_stops_it() {
    let net = Internet::start().await;
    let mut config = net.config();
    config.plc_url = Url::parse("ftp://plc.people.net").unwrap();
    let refused = rhiz_identity::Resolver::new(config, net.clock.clone()).err().unwrap();
    assert!(matches!(refused, ResolveError::Setup { .. }), "{refused}");
}
