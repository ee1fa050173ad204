//! The resolver against the official PLC directory and PDS.

use crate::internet::{did, handle, permanent};
use rhiz_domain::clock::SystemClock;
use rhiz_identity::{HandleCheck, Resolver, ResolverConfig, Url};
use rhiz_testkit::atproto::Peer;
use std::sync::Arc;

#[tokio::test]
async fn accounts_of_a_real_pds() {
    let peer = Peer::start().await;
    let pds = Url::parse(peer.pds_url()).unwrap();
    let mut config = ResolverConfig::new(Url::parse(peer.plc_url()).unwrap());
    config.allow_private_addresses = true;
    config.test_handles = Some(pds.clone());
    let resolver = Resolver::new(config, Arc::new(SystemClock::default())).unwrap();

    // An account: handle to DID, DID to document, and the document is its own PDS's.
    let alice = peer.create_account("alice").await;
    let who = did(&alice.did);
    assert_eq!(resolver.resolve_handle(&handle("alice.test")).await, Ok(Some(who.clone())));
    let identity = resolver.resolve(&who).await.unwrap().unwrap();
    assert_eq!(identity.handle, Some(handle("alice.test")));
    assert_eq!(identity.handle_check, HandleCheck::Verified);
    assert_eq!(identity.pds, Some(pds.clone()));
    assert_eq!(identity.also_known_as, ["at://alice.test"]);

    // The key is the one that the PDS itself says the repo is signed with.
    let params = serde_json::json!({"repo": alice.did});
    let described = peer.get("com.atproto.repo.describeRepo", None, params).await.unwrap();
    let document = described["didDoc"].to_string();
    let document = rhiz_identity::Document::parse(&who, document.as_bytes(), true).unwrap();
    assert!(identity.signing_key.is_some());
    assert_eq!(identity.signing_key, document.signing_key);

    // Another handle: the old one is nobody's, the new one counts both ways.
    peer.update_handle(&alice, "alicia.test").await;
    assert_eq!(resolver.resolve_handle(&handle("alice.test")).await, Ok(None));
    let identity = resolver.resolve(&who).await.unwrap().unwrap();
    assert_eq!(identity.handle, Some(handle("alicia.test")));

    // The document is moved to a handle that the PDS knows nothing of: claimed, not verified.
    peer.claim_handle(&alice.did, "queen.test").await;
    let identity = resolver.resolve(&who).await.unwrap().unwrap();
    assert_eq!((identity.handle, identity.handle_check), (None, HandleCheck::Refuted));
    assert_eq!(identity.claimed_handle, Some(handle("queen.test")));

    // Somebody claims Alice's handle; her PDS says that it is hers.
    let (mallory, key) = peer.create_did("alicia.test", peer.pds_url()).await;
    let mallory = did(&mallory);
    let identity = resolver.resolve(&mallory).await.unwrap().unwrap();
    assert_eq!((identity.handle, identity.handle_check), (None, HandleCheck::Refuted));
    assert_eq!(identity.signing_key.unwrap().to_string(), key);

    // The end of a DID, and one that never was.
    peer.tombstone(mallory.as_str()).await;
    assert_eq!(resolver.resolve(&mallory).await, Ok(None));
    let never = did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(resolver.resolve(&never).await, Ok(None));

    // With private addresses refused the directory is still asked, for the operator named it; the
    // handle and the server that the document names are not.
    let config = ResolverConfig::new(Url::parse(peer.plc_url()).unwrap());
    let careful = Resolver::new(config, Arc::new(SystemClock::default())).unwrap();
    let identity = careful.resolve(&who).await.unwrap().unwrap();
    assert_eq!((identity.handle_check, identity.pds), (HandleCheck::Refuted, None));
    permanent(careful.resolve_handle(&handle("alicia.test")).await);
}
