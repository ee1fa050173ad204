//! Syntax, against `interop/syntax` (bluesky-social/atproto-interop-tests).

use crate::interop;
use rhiz_domain::{
    AtUri, Did, Handle, Tid,
    syntax::{
        format_datetime, is_cid, is_cid_text, is_nsid, is_record_key, is_uri, parse_datetime,
    },
};

/// The cases of a file: lines, without empty ones and comments.
fn cases(file: &str) -> Vec<String> {
    let text = interop(&format!("syntax/{file}")).unwrap_or_default();
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(Into::into).collect()
}

/// Every valid line is taken and every invalid one refused, save for those named.
fn judge(name: &str, takes: impl Fn(&str) -> bool) {
    let valid = cases(&format!("{name}_syntax_valid.txt"));
    let invalid = cases(&format!("{name}_syntax_invalid.txt"));
    let refused: Vec<_> = valid.iter().filter(|c| !takes(c)).collect();
    let taken: Vec<_> = invalid.iter().filter(|c| takes(c)).collect();
    assert!(refused.is_empty(), "valid {name}, refused: {refused:#?}");
    assert!(taken.is_empty(), "invalid {name}, taken: {taken:#?}");
}

#[test]
fn dids() {
    judge("did", |t| Did::parse(t).is_ok());
}

#[test]
fn handles() {
    judge("handle", |t| Handle::parse(t).is_ok());
}

#[test]
fn tids() {
    judge("tid", |t| Tid::parse(t).is_ok());
    for text in cases("tid_syntax_valid.txt") {
        let tid = Tid::parse(&text).unwrap();
        assert_eq!(tid.to_string(), text);
        assert_eq!(Tid::from_u64(tid.to_u64()), Some(tid));
        assert_eq!(Tid::at(tid.time(), (tid.to_u64() & 0x3ff) as u16), tid);
    }
}

#[test]
fn nsids() {
    judge("nsid", is_nsid);
}

#[test]
fn record_keys() {
    judge("recordkey", is_record_key);
}

#[test]
fn uris() {
    judge("uri", is_uri);
}

#[test]
fn cids() {
    judge("cid", is_cid_text);
    // Of those with the right shape, these decode as a CID of version 1.
    let decoded: Vec<_> = cases("cid_syntax_valid.txt").into_iter().filter(|c| is_cid(c)).collect();
    if decoded.is_empty() && interop("syntax/cid_syntax_valid.txt").is_none() {
        return;
    }
    assert!(decoded.iter().any(|c| c.starts_with("bafybeigdyrzt5")), "{decoded:?}");
    assert!(!is_cid("example.com") && !is_cid("7134036155352661643226414134664076"));
}

#[test]
fn datetimes() {
    judge("datetime", |t| parse_datetime(t).is_ok());
    for text in cases("datetime_parse_invalid.txt") {
        assert!(parse_datetime(&text).is_err(), "there is no {text}");
    }
    for text in cases("datetime_syntax_valid.txt") {
        let time = parse_datetime(&text).unwrap();
        let written = format_datetime(time);
        assert!(parse_datetime(&written).is_ok(), "{text} was written as {written}");
    }
}

/// Ours is the URI of one record with a DID: the valid ones that are refused are exactly those
/// that name no record, or name the repo by a handle that may move.
#[test]
fn at_uris() {
    for text in cases("aturi_syntax_invalid.txt") {
        assert!(AtUri::parse(&text).is_err(), "taken: {text}");
    }
    for text in cases("aturi_syntax_valid.txt") {
        let rest = text.strip_prefix("at://").unwrap();
        let names_a_record = rest.split('/').count() == 3;
        let by_did = rest.starts_with("did:");
        match AtUri::parse(&text) {
            Ok(uri) => {
                assert!(names_a_record && by_did, "taken: {text}");
                assert_eq!(uri.to_string(), text);
            }
            Err(e) => assert!(!(names_a_record && by_did), "refused: {e}"),
        }
    }
    let handle = AtUri::parse("at://alice.example.com/net.rhiz.intro.request/3jzfcijpj2z2a");
    assert!(handle.unwrap_err().to_string().contains("its authority has to be a DID"));
    let repo = AtUri::parse("at://did:plc:asdf123/com.atproto.feed.post");
    assert!(repo.unwrap_err().to_string().contains("it has to look like"));
}
