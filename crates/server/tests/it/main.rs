//! The built binary, as its users run it.

mod cli;
mod dump;
mod http;
mod import;
mod lexicon;
mod otc;
mod paths;
mod records;
mod server;
mod xrpc;
