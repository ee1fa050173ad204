//! The built binary, as its users run it.

mod bad_input;
mod caching;
mod cli;
mod crash;
mod demo;
mod disk;
mod dump;
mod firehose;
mod http;
mod import;
mod lexicon;
mod manners;
mod otc;
mod outlook;
mod paths;
mod people;
mod powercut;
mod privacy;
mod records;
mod server;
mod start;
mod xrpc;
