//! The built binary, as its users run it.

mod bad_input;
mod cli;
mod crash;
mod dump;
mod http;
mod import;
mod lexicon;
mod otc;
mod outlook;
mod paths;
mod records;
mod server;
mod start;
mod xrpc;
