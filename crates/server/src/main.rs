//! The relationship layer of the AT Protocol, in one binary.

pub mod cli;
pub mod commands;
#[allow(dead_code, reason = "read by the parts of the server as they are wired in")]
pub mod config;
pub mod exit;
#[allow(dead_code, reason = "called by `serve` once it is wired in")]
pub mod key;
#[allow(dead_code, reason = "called by `serve` once it is wired in")]
pub mod log;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
