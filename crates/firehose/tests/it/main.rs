//! The sources, run against a relay and files that misbehave.

mod decoding;
mod frames;
mod law;
mod messages;
mod reconnecting;
mod replaying;
mod settings;
mod streaming;

use rhiz_testkit::relay;
