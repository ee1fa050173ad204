//! A private Redis for one test: own port, own folder, gone with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `redis-server`. That the binary is missing fails the test.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    /// Where its data and its socket (`redis.sock`) are.
    pub folder: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    more: Vec<String>,
}

impl RedisServer {
    /// On a free port, in a folder of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(TempDir::new().expect("a temporary folder"), Vec::new())
    }

    /// With more settings than the usual.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_in(folder: TempDir, more: Vec<String>) -> Self {
        let port = free_port();
        let child = run(port, &folder, &more);
        Self { child, folder, port, more }
    }

    /// kill -9.
    ///
    /// # Panics
    /// When it does not run any more.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// On the same port, with what it had saved: nothing, unless it was told to.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_again(&mut self) {
        self.child = run(self.port, &self.folder, &self.more);
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends a signal by name: `STOP` makes it silent, its connections open, and `CONT` ends that.
    ///
    /// # Panics
    /// When it does not run any more.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(sent.success(), "{kill}");
    }
}

/// A port of 127.0.0.1 that nobody listens on.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(port: u16, folder: &TempDir, more: &[String]) -> Child {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--logfile", "", "--enable-debug-command", "yes"])
        .args(["--repl-diskless-sync-delay", "0"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--unixsocket")
        .arg(folder.path().join("redis.sock"))
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed (apt-get install redis-server)");
    let out = child.stdout.take().expect("piped");
    let mut lines = BufReader::new(out).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|l| l.contains("Ready to accept"));
    assert!(ready, "redis-server did not start on port {port}");
    // Read on, so that it never blocks on a full pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    child
}
