//! The built binary as a server: started, asked, killed and started again on the same data.

#![expect(clippy::print_stderr, reason = "a failed test shows its server's log")]

use crate::http::Client;
use rhiz_domain::{Clock, clock::SystemClock};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// The operator's key of every server here.
pub(crate) const KEY: &str = "a-key-of-the-tests-0123456789";

/// Whatever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The binary, with this environment and no other.
pub(crate) fn rhiz(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rhiz"));
    command
        .args(args)
        .env_clear()
        .envs([("INTERNAL_API_KEY", KEY), ("ENABLE_FIREHOSE_INGEST", "false")])
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Looks again and again until it is so: another process gives no signal.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::default();
    while !is_so() {
        assert!(clock.elapsed() < LIMIT, "waited {LIMIT:?} in vain until {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets other processes go on.
#[expect(clippy::disallowed_methods, reason = "another process gives no signal to wait for")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Sends a signal by name, as in `TERM`.
pub(crate) fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

/// A data directory, removed with the last who holds it.
#[derive(Clone)]
pub(crate) struct Data(Arc<TempDir>);

impl Data {
    pub(crate) fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// The data directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// A place beside the data, for what a test writes.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command on this data.
    pub(crate) fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = rhiz(args, environment);
        command.arg("--data-dir").arg(self.path()).current_dir(self.0.path());
        command
    }

    /// `rhiz serve` on this data.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        Server::start(self, self.command(&["serve", "--port", "0"], environment))
    }
}

/// A server that runs. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) data: Data,
    log: PathBuf,
    // Kept open: nobody else reads what it prints.
    _out: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// On a new data directory.
    pub(crate) fn new() -> Self {
        Data::new().serve()
    }

    /// Starts the command, and waits for its address.
    pub(crate) fn start(data: &Data, command: Command) -> Self {
        Self::try_start(data, command).unwrap_or_else(|(line, _)| {
            panic!("no server: {line:?}\n{}", log(&data.beside("log")));
        })
    }

    /// `Err` when it ended before it had an address: what it said instead, and how it ended.
    pub(crate) fn try_start(
        data: &Data,
        mut command: Command,
    ) -> Result<Self, (String, ExitStatus)> {
        let log = data.beside("log");
        let err = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Rhiz is at http://").and_then(|a| a.parse().ok());
        match address {
            Some(address) => Ok(Self { child, address, data: data.clone(), log, _out: out }),
            None => Err((line, child.wait().unwrap())),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection with the operator's key.
    pub(crate) fn keyed(&self) -> Client {
        Client::new(self.address, Some(KEY))
    }

    /// A connection without any key.
    pub(crate) fn anybody(&self) -> Client {
        Client::new(self.address, None)
    }

    /// Waits until everything accepted is in every answer.
    pub(crate) fn settled(&self) {
        let client = self.keyed();
        wait_until("the queue is empty", || {
            client.get("/internal/events/metrics").expect(200)["events_in_queue"] == 0
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Data {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data.clone()
    }

    /// `kill -9`, while others go on using it.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// How it ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// What it logged so far, since the data's first server.
    pub(crate) fn log(&self) -> String {
        log(&self.log)
    }
}

fn log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}", log(&self.log));
        } else {
            assert!(!self.log().contains("panicked"), "{}", self.log());
        }
    }
}
