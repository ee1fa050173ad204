//! The cache as its users see it.
#![expect(clippy::print_stderr, reason = "measured times are part of what these tests say")]

mod conformance;
mod histories;
mod memory;
mod outages;
mod proxy;
mod sharing;
mod world;
