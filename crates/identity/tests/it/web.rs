//! did:web, over TLS.

use crate::internet::{Internet, PUBLIC, Page, Said, did, handle, permanent, temporary};
use hickory_resolver::proto::rr::RecordType;
use rhiz_identity::{HandleCheck, ResolveError};
use serde_json::json;

const WHO: &str = "did:web:alice.people.net";
const AT: &str = "alice.people.net/.well-known/did.json";

async fn alice() -> Internet {
    let net = Internet::start().await;
    net.host("alice.people.net", PUBLIC);
    net
}

#[tokio::test]
async fn a_host_says_who_it_is() {
    let net = alice().await;
    let document = json!({
        "id": WHO,
        "alsoKnownAs": ["at://alice.people.net"],
        "verificationMethod": [{
            "id": "#atproto", "type": "Multikey",
            "publicKeyMultibase": "zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo",
        }],
        "service": [{
            "id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": "https://pds.people.net",
        }],
    });
    net.body(AT, &document.to_string());
    net.body("alice.people.net/.well-known/atproto-did", WHO);
    let who = net.resolver().resolve(&did(WHO)).await.unwrap().unwrap();
    assert_eq!(who.handle, Some(handle("alice.people.net")));
    assert_eq!(who.handle_check, HandleCheck::Verified);
    assert_eq!(who.pds.unwrap().as_str(), "https://pds.people.net/");
    assert_eq!(who.signing_key.unwrap().curve().name(), "p256");
}

#[tokio::test]
async fn no_host_and_no_file_are_nobody() {
    let net = alice().await;
    let resolver = net.resolver();
    assert_eq!(resolver.resolve(&did(WHO)).await, Ok(None));
    net.page(AT, Page::Status(410, vec![]));
    assert_eq!(resolver.resolve(&did(WHO)).await, Ok(None));
    assert_eq!(resolver.resolve(&did("did:web:nobody.people.net")).await, Ok(None));
}

#[tokio::test]
async fn the_document_of_another_and_redirects_are_refused() {
    let net = alice().await;
    let resolver = net.resolver();
    net.body(AT, &json!({"id": "did:web:other.org"}).to_string());
    let error = permanent(resolver.resolve(&did(WHO)).await);
    assert_eq!(error, ResolveError::OtherDid { did: did(WHO), got: "did:web:other.org".into() });
    let location = format!("https://other.org:{}/did.json", net.port);
    net.host("other.org", PUBLIC);
    net.body("other.org/did.json", &json!({"id": WHO}).to_string());
    net.page(AT, Page::Status(302, vec![("location", location)]));
    assert_eq!(permanent(resolver.resolve(&did(WHO)).await).code(), "forbidden_url");
    assert_eq!(net.asked(), [AT, AT]);
}

#[tokio::test]
async fn failing_name_servers_are_temporary() {
    let net = alice().await;
    net.say("alice.people.net", RecordType::A, Said::ServFail);
    net.say("alice.people.net", RecordType::AAAA, Said::ServFail);
    let error = temporary(net.resolver().resolve(&did(WHO)).await);
    assert_eq!(error.code(), "dns");
}

#[tokio::test]
async fn a_host_that_fails_is_left_alone_and_others_are_not() {
    let net = alice().await;
    let resolver = net.resolver();
    net.page(AT, Page::Status(502, vec![]));
    for code in ["server_error", "server_error", "server_error", "left_alone"] {
        assert_eq!(temporary(resolver.resolve(&did(WHO)).await).code(), code);
    }
    net.host("bob.people.net", PUBLIC);
    assert_eq!(resolver.resolve(&did("did:web:bob.people.net")).await, Ok(None));
    assert_eq!(resolver.resolve(&did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")).await, Ok(None));
}
