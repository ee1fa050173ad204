//! The relationship layer of the AT Protocol, in one binary.

pub mod answers;
pub mod api;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod demo_command;
pub mod dlq;
pub mod doctor;
pub mod exit;
pub mod health;
pub mod identity;
pub mod import;
pub mod import_remote;
pub mod ingest;
pub mod key;
pub mod load;
pub mod log;
pub mod node;
pub mod processors;
pub mod progress;
pub mod rebuild;
pub mod remote;
pub mod replica;
pub mod serve;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
