//! The built binary, as its users run it.

mod bad_input;
mod cache_health;
mod caching;
mod cli;
mod crash;
mod dead_letters;
mod demo;
#[cfg(target_os = "linux")]
mod disk;
mod doctor;
mod dump;
mod firehose;
mod http;
mod identity;
mod import;
mod lexicon;
mod manners;
#[cfg(not(target_os = "linux"))]
mod not_linux;
mod otc;
mod outlook;
mod paths;
mod people;
#[cfg(target_os = "linux")]
mod powercut;
mod privacy;
mod rebuild;
mod records;
mod redis;
mod server;
mod standstill;
mod start;
mod statement;
mod xrpc;
