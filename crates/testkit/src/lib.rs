//! What tests of several crates share: one conformance suite for each swapped trait, builders and
//! generators of events, a store that fails on command, a fake relay, a real Redis, and a real PDS.

pub mod atproto;
pub mod cache;
pub mod events;
pub mod faults;
pub mod generate;
pub mod model;
pub mod redis;
pub mod relay;
pub mod store;
