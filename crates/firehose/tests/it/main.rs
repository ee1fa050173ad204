//! The sources, run against a relay and files that misbehave.

mod decoding;
mod frames;
mod law;
mod messages;
mod reconnecting;
#[expect(unreachable_pub, reason = "it is a module of the testkit")]
#[path = "../../../testkit/src/relay.rs"]
mod relay;
mod replaying;
mod settings;
mod streaming;
