//! The graph against a second, slow reading of the rules, against exhaustive search, and against
//! numbers worked out by hand.

mod affected;
mod applying;
mod examples;
mod exhaustive;
mod forgetting;
mod hub;
mod loading;
mod naive;
#[path = "../../benches/graph/networks.rs"]
mod networks;
mod outlook;
mod predicting;
mod ranking;
mod real;
mod sybil;
mod world;
