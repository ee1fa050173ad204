//! The built binary, as its users run it.

mod cli;
mod dump;
mod http;
mod import;
mod otc;
mod paths;
mod server;
