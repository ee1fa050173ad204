//! What others write never makes this machine talk to its own network.

use crate::internet::{Internet, PRIVATE, PUBLIC, Page, Said, did, handle, permanent};
use hickory_resolver::proto::rr::RecordType;
use rhiz_identity::{HandleCheck, Resolver};
use serde_json::json;

const WHO: &str = "did:web:evil.people.net";
const AT: &str = "evil.people.net/.well-known/did.json";
const WELL_KNOWN: &str = "evil.people.net/.well-known/atproto-did";

/// evil.people.net, whose web server would answer at the private address as well.
async fn evil() -> (Internet, Resolver) {
    let net = Internet::start().await;
    net.body(AT, &json!({"id": WHO}).to_string());
    net.body(WELL_KNOWN, WHO);
    let resolver = net.resolver();
    (net, resolver)
}

#[tokio::test]
async fn names_that_lead_into_a_private_network_are_refused() {
    let (net, resolver) = evil().await;
    for address in [PRIVATE, "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"] {
        net.host("evil.people.net", address);
        let error = permanent(resolver.resolve(&did(WHO)).await);
        assert_eq!(error.code(), "private_address", "{address}");
        let error = permanent(resolver.resolve_handle(&handle("evil.people.net")).await);
        assert_eq!(error.code(), "private_address", "{address}");
    }
    net.say("evil.people.net", RecordType::A, Said::Addresses(vec![]));
    for address in
        ["::1", "::ffff:127.0.0.1", "fd00::1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"]
    {
        let said = Said::Addresses(vec![address.parse().unwrap()]);
        net.say("evil.people.net", RecordType::AAAA, said);
        let error = permanent(resolver.resolve(&did(WHO)).await);
        assert_eq!(error.code(), "private_address", "{address}");
    }
    assert_eq!(net.private_connections(), 0);
    assert_eq!(net.asked(), [""; 0]);
}

/// So that the test above cannot pass for another reason.
#[tokio::test]
async fn they_are_asked_when_that_is_allowed() {
    let (net, _) = evil().await;
    let resolver = net.resolver_with(|c| c.allow_private_addresses = true);
    net.host("evil.people.net", PRIVATE);
    assert!(resolver.resolve(&did(WHO)).await.unwrap().is_some());
    assert_eq!(net.private_connections(), 1);
}

#[tokio::test]
async fn of_mixed_addresses_only_the_public_ones_are_connected_to() {
    let (net, resolver) = evil().await;
    for mixed in [[PRIVATE, PUBLIC], [PUBLIC, PRIVATE]] {
        let addresses = mixed.iter().map(|a| a.parse().unwrap()).collect();
        net.say("evil.people.net", RecordType::A, Said::Addresses(addresses));
        assert!(resolver.resolve(&did(WHO)).await.unwrap().is_some());
    }
    assert_eq!(net.private_connections(), 0);
    assert_eq!(net.asked().len(), 2);
}

#[tokio::test]
async fn a_name_that_changes_between_looking_and_connecting_changes_nothing() {
    let (net, resolver) = evil().await;
    let at = |address: &str| Said::Addresses(vec![address.parse().unwrap()]);
    // Public when it is looked at first, private ever after: a second look would be fatal.
    net.say("evil.people.net", RecordType::A, Said::InTurn(vec![at(PUBLIC), at(PRIVATE)]));
    assert!(resolver.resolve(&did(WHO)).await.unwrap().is_some());
    assert_eq!(net.private_connections(), 0);
    let looked = net.looked_up().iter().filter(|l| *l == "evil.people.net A").count();
    assert_eq!(looked, 1, "{:?}", net.looked_up());
    // And the next request looks anew.
    assert_eq!(permanent(resolver.resolve(&did(WHO)).await).code(), "private_address");
    assert_eq!(net.private_connections(), 0);
}

#[tokio::test]
async fn redirects_are_judged_like_anything_else() {
    let (net, resolver) = evil().await;
    net.host("evil.people.net", PUBLIC);
    net.host("inside.people.net", PRIVATE);
    let port = net.port;
    let evil = handle("evil.people.net");
    net.body("inside.people.net/", WHO);
    let to =
        |location: String| net.page(WELL_KNOWN, Page::Status(302, vec![("location", location)]));
    to(format!("https://inside.people.net:{port}/"));
    assert_eq!(permanent(resolver.resolve_handle(&evil).await).code(), "private_address");
    for location in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("http://inside.people.net:{port}/"),
        format!("https://{PUBLIC}:{port}/"),
    ] {
        to(location.clone());
        assert_eq!(resolver.resolve_handle(&evil).await, Ok(None), "{location}");
    }
    assert_eq!(net.private_connections(), 0);
    assert!(net.asked().iter().all(|url| url == WELL_KNOWN), "{:?}", net.asked());
}

#[tokio::test]
async fn a_handle_that_leads_inside_is_refuted_and_the_document_stands() {
    let (net, resolver) = evil().await;
    let plc = "did:plc:eeeeeeeeeeeeeeeeeeeeeeee";
    net.claim(plc, "evil.people.net");
    net.host("evil.people.net", PRIVATE);
    let who = resolver.resolve(&did(plc)).await.unwrap().unwrap();
    assert_eq!((who.handle, who.handle_check), (None, HandleCheck::Refuted));
    assert_eq!(net.private_connections(), 0);
}
