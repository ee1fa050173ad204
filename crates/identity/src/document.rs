//! Bytes to a [`Document`], pure.
//!
//! Only what cannot be a document at all is an error. A service or a key that cannot be used is
//! left out: DID documents may say things that are none of the AT Protocol's business.

use crate::{error::ResolveError, hosts, identity::Document, key::SigningKey};
use rhiz_domain::{Did, Handle};
use serde_json::Value;

impl Document {
    /// Reads the document that came when `did` was asked for. A server at a private address or
    /// without TLS is taken only with `allow_private`.
    pub fn parse(did: &Did, bytes: &[u8], allow_private: bool) -> Result<Self, ResolveError> {
        let malformed = |why: &str| ResolveError::Malformed { did: did.clone(), why: why.into() };
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| malformed(&format!("no JSON: {e}")))?;
        let object = value.as_object().ok_or_else(|| malformed("it is no JSON object"))?;
        let id = object.get("id").and_then(Value::as_str);
        let id = id.ok_or_else(|| malformed("it has no `id`"))?;
        if id != did.as_str() {
            let got = id.chars().take(80).collect();
            return Err(ResolveError::OtherDid { did: did.clone(), got });
        }
        let list = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok([].as_slice()),
            Some(Value::Array(items)) => Ok(items.as_slice()),
            Some(_) => Err(malformed(&format!("`{name}` has to be a list"))),
        };
        let also_known_as: Vec<String> =
            list("alsoKnownAs")?.iter().filter_map(Value::as_str).map(Into::into).collect();
        let claimed_handle = also_known_as
            .iter()
            .find_map(|name| name.strip_prefix("at://"))
            .and_then(|name| Handle::parse(name).ok());
        let signing_key = named(list("verificationMethod")?, did, "#atproto").and_then(|method| {
            let (kind, text) = (text(method, "type")?, text(method, "publicKeyMultibase")?);
            SigningKey::from_method(kind, text).ok()
        });
        let pds = named(list("service")?, did, "#atproto_pds").and_then(|service| {
            (text(service, "type")? == "AtprotoPersonalDataServer").then_some(())?;
            hosts::origin(text(service, "serviceEndpoint")?, allow_private)
        });
        Ok(Self { did: did.clone(), claimed_handle, pds, signing_key, also_known_as })
    }
}

/// The first entry whose `id` is the fragment, with or without the DID before it.
fn named<'a>(entries: &'a [Value], did: &Did, fragment: &str) -> Option<&'a Value> {
    entries.iter().find(|entry| {
        text(entry, "id").is_some_and(|id| id.strip_prefix(did.as_str()).unwrap_or(id) == fragment)
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}
