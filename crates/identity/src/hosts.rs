//! Which names and URLs may be asked at all, before anything is looked up.

use crate::error::ResolveError;
use rhiz_domain::{Did, Handle};
use url::{Host, Url};

/// Top-level names that are not of the public internet: no handle may end in them
/// (<https://atproto.com/specs/handle>). `.test` may, where private addresses are allowed.
const NOT_PUBLIC: [&str; 9] =
    ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

fn last_label(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether a handle may be used.
pub(crate) fn check_handle(handle: &Handle, allow_private: bool) -> Result<(), ResolveError> {
    let under = last_label(handle.as_str());
    if NOT_PUBLIC.contains(&under) && !(allow_private && under == "test") {
        return Err(ResolveError::DisallowedHandle {
            handle: handle.clone(),
            under: under.to_owned(),
        });
    }
    Ok(())
}

/// Where the document of a did:web is. The AT Protocol allows a host name alone: no path, and a
/// port only where private addresses are allowed; there it is asked without TLS.
pub(crate) fn did_web_url(
    did: &Did,
    name: &str,
    allow_private: bool,
    https_port: u16,
) -> Result<Url, ResolveError> {
    let no = |why| ResolveError::ImpossibleDid { did: did.clone(), why };
    if name.contains(':') {
        return Err(no("a did:web of the AT Protocol is a host name alone, without a path"));
    }
    let name = name.to_ascii_lowercase();
    let (host, port) = match name.split_once("%3a") {
        None => (name.as_str(), None),
        Some(_) if !allow_private => return Err(no("a did:web with a port is for tests only")),
        Some((host, port)) => {
            let port = port.parse::<u16>().ok().filter(|p| *p > 0);
            (host, Some(port.ok_or_else(|| no("after %3A there has to be a port, 1 to 65535"))?))
        }
    };
    let local = host == "localhost";
    if !local && Handle::parse(host).is_err() {
        return Err(no("a did:web has to name a host, as in did:web:example.com"));
    }
    if !allow_private && NOT_PUBLIC.contains(&last_label(host)) {
        return Err(no("its host is not of the public internet"));
    }
    let origin = match port {
        Some(port) => format!("http://{host}:{port}"),
        None if local => "http://localhost".to_owned(),
        None => format!("https://{host}:{https_port}"),
    };
    Url::parse(&format!("{origin}/.well-known/did.json"))
        .map_err(|_| no("a did:web has to name a host, as in did:web:example.com"))
}

/// The origin of a server that a document names, if it may be asked.
pub(crate) fn origin(text: &str, allow_private: bool) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    check_url(&url, allow_private).ok()?;
    url.set_path("");
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// Whether a URL that others name may be asked: https and a host name, no user in it. Where private
/// addresses are allowed, also http and addresses. That the name does not lead into a private
/// network is checked when it is looked up.
pub(crate) fn check_url(url: &Url, allow_private: bool) -> Result<(), ResolveError> {
    let no = |why| Err(ResolveError::ForbiddenUrl { host: host_of(url), why });
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => return no("http is not allowed, only https"),
        _ => return no("only https is allowed"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return no("a user name in a URL is not allowed");
    }
    match url.host() {
        None => no("it has no host"),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) if !allow_private => {
            no("a bare address is not allowed, only a host name")
        }
        Some(_) => Ok(()),
    }
}

/// Host, with a port if it is not the scheme's own; cut to what a message can hold.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_outside_the_public_internet_are_refused() {
        let check = |text: &str, private| check_handle(&Handle::parse(text).unwrap(), private);
        for under in NOT_PUBLIC {
            let refused = check(&format!("alice.{under}"), false).unwrap_err();
            assert!(!refused.is_temporary() && refused.to_string().contains(under), "{refused}");
            assert_eq!(check(&format!("alice.{under}"), true).is_ok(), under == "test");
        }
        for allowed in ["alice.com", "local.example.com", "test.org", "xn--ls8h.test.net"] {
            assert_eq!(check(allowed, false), Ok(()));
        }
    }

    #[test]
    fn where_the_document_of_a_did_web_is() {
        let at = |text: &str, private| {
            let did = Did::parse(text).unwrap();
            let name = text.strip_prefix("did:web:").unwrap().to_owned();
            did_web_url(&did, &name, private, 443).map(|url| url.to_string())
        };
        let public = "https://example.com/.well-known/did.json";
        assert_eq!(at("did:web:example.com", false).unwrap(), public);
        assert_eq!(at("did:web:EXAMPLE.com", false).unwrap(), public);
        let local = "http://localhost:3000/.well-known/did.json";
        assert_eq!(at("did:web:localhost%3A3000", true).unwrap(), local);
        for refused in [
            "did:web:example.com:u:alice",
            "did:web:example.com%3A8080",
            "did:web:localhost",
            "did:web:localhost%3A3000",
            "did:web:127.0.0.1",
            "did:web:127.1",
            "did:web:0x7f.1",
            "did:web:2130706433",
            "did:web:router",
            "did:web:nas.local",
            "did:web:x.internal",
            "did:web:example.com%2Fx",
            "did:web:example.com.",
            "did:web:a..b",
        ] {
            let error = at(refused, false).expect_err(refused);
            assert!(!error.is_temporary(), "{error}");
        }
        for refused in ["did:web:localhost%3A0", "did:web:localhost%3A99999", "did:web:127.0.0.1"] {
            assert!(at(refused, true).is_err(), "{refused}");
        }
    }

    #[test]
    fn urls_of_others() {
        let check = |text: &str, private| check_url(&Url::parse(text).unwrap(), private).is_ok();
        assert!(check("https://pds.example.com", false));
        assert!(check("https://pds.example.com:8443/x", false));
        for text in [
            "http://pds.example.com",
            "https://127.0.0.1",
            "https://[::1]",
            "https://0x7f.1",
            "https://2130706433",
            "https://017700000001",
            "https://8.8.8.8",
        ] {
            assert!(!check(text, false) && check(text, true), "{text}");
        }
        for text in ["ftp://x.com", "file:///etc/passwd", "https://u:p@x.com", "gopher://x.com"] {
            assert!(!check(text, false) && !check(text, true), "{text}");
        }
        let origin = |text| origin(text, false).map(|u| u.to_string());
        assert_eq!(origin("https://pds.com/a/b?c#d").as_deref(), Some("https://pds.com/"));
        assert_eq!(origin("pds.com"), None);
    }
}
