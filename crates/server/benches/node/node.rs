//! The built binary.

use crate::client::KEY;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rhiz"));
    command
        .arg("--data-dir")
        .arg(dir)
        .env("INTERNAL_API_KEY", KEY)
        .env("ENABLE_FIREHOSE_INGEST", "false")
        .env("LOG_LEVEL", "warn");
    command
}

/// Runs a command to its end.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir).args(args).output().expect("the binary runs")
}

/// A server; killed when dropped.
pub(crate) struct Node {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Node {
    /// Starts one, and waits until its port is open.
    pub(crate) fn serve(dir: &Path) -> Self {
        let mut child = command(dir)
            .args(["serve", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("it says where it is");
        let address = line.trim().rsplit("//").next().expect("an address").to_owned();
        Self { child, address }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
