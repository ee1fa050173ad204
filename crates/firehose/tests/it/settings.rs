//! Options that make no sense are refused with what is allowed, before anything is connected.

use crate::messages::{clock, options};
use rhiz_domain::clock::SeededEntropy;
use rhiz_firehose::{Jetstream, Options, Source};
use std::{sync::Arc, time::Duration};

fn jetstream(options: Options) -> Result<Jetstream, String> {
    Jetstream::new(options, clock(), Arc::new(SeededEntropy::new(1))).map_err(|e| e.to_string())
}

#[test]
fn a_source_is_named_after_its_address_without_the_query() {
    for (url, name) in [
        ("wss://jet.example.com", "jetstream:wss://jet.example.com/subscribe"),
        ("wss://jet.example.com/", "jetstream:wss://jet.example.com/subscribe"),
        ("ws://127.0.0.1:6008/subscribe?key=secret", "jetstream:ws://127.0.0.1:6008/subscribe"),
        (" wss://[::1]:443/own/path ", "jetstream:wss://[::1]:443/own/path"),
    ] {
        assert_eq!(jetstream(Options::new(url)).map(|j| j.name().to_owned()), Ok(name.into()));
    }
}

#[test]
fn a_wrong_address_is_refused() {
    for (url, why) in [
        ("", "like wss://host/subscribe"),
        ("jet.example.com", "has to start with wss://"),
        ("https://jet.example.com", "has to start with wss://"),
        ("wss://", "like wss://host/subscribe"),
        ("wss://me:secret@jet.example.com", "name and password"),
        ("wss://jet.example.com/subscribe?cursor=5", "cursor is set by this program"),
        ("wss://jet.example.com/subscribe?a=b&compress=true", "compress is set by this program"),
        ("wss://jet.example.com/a b", "like wss://host/subscribe"),
    ] {
        let error =
            jetstream(Options::new(url)).err().unwrap_or_else(|| panic!("{url:?} is taken"));
        assert!(error.contains(why), "{url:?}: {error}");
    }
}

#[test]
fn wrong_collections_and_times_are_refused() {
    let with = |change: fn(&mut Options)| {
        let mut options = options("wss://jet.example.com");
        change(&mut options);
        jetstream(options)
    };
    assert!(with(|o| o.collections = vec!["net.rhiz.*".into()]).is_ok());
    type Change = fn(&mut Options);
    let wrong: [(Change, &str); 6] = [
        (|o| o.collections.clear(), "1 to 100, not 0"),
        (|o| o.collections = vec!["net.rhiz.any".into(); 101], "1 to 100, not 101"),
        (|o| o.collections = vec!["*".into()], "prefix like net.rhiz.*"),
        (|o| o.collections = vec!["net.rhiz.x&cursor=1".into()], "prefix like net.rhiz.*"),
        (|o| o.ping_interval = Duration::ZERO, "ping_interval: "),
        (|o| o.idle_timeout = Duration::ZERO, "idle_timeout: "),
    ];
    for (change, why) in wrong {
        let error = with(change).err().expect(why);
        assert!(error.contains(why), "{error}");
    }
}
