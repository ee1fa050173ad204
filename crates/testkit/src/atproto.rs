//! The official PDS and PLC directory, on loopback, with data of their own.
//!
//! Their packages are installed by `atproto/install` when they are missing: once, for minutes, so
//! `./test` does it beforehand. Npm has to be there; a Node that is new enough is installed, too,
//! where there is none.

use serde_json::{Value, json};
use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    sync::Mutex,
};

/// A running PDS and PLC directory. Both end when this is dropped, and their data with them.
pub struct Peer {
    plc_url: String,
    pds_url: String,
    admin_password: String,
    child: Child,
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    // After the child: it ends before its data goes.
    _data: TempDir,
}

/// An account on the PDS.
#[derive(Debug, Clone)]
pub struct Account {
    /// Whose.
    pub did: String,
    /// The handle it was made with.
    pub handle: String,
    /// A session's token, for `Authorization: Bearer …`.
    pub access: String,
}

impl Peer {
    /// Starts both, which takes some seconds. Fails the test that wants it when it cannot.
    ///
    /// # Panics
    /// When npm is missing, or the packages cannot be installed, or do not start.
    pub async fn start() -> Self {
        let packages = tokio::task::spawn_blocking(packages).await.expect("no panic");
        let data = TempDir::new().expect("a temporary folder");
        // The Node that they were installed for.
        let mut child = Command::new(packages.join("node"))
            .arg(folder().join("start.mjs"))
            .args([packages.as_path(), data.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`install` leaves a node in the folder");
        let stdin = ChildStdin::from_std(child.stdin.take().expect("piped")).expect("a pipe");
        let stdout = ChildStdout::from_std(child.stdout.take().expect("piped")).expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let hello = lines.next_line().await.expect("UTF-8").expect("the PDS and PLC start");
        let hello: Value = serde_json::from_str(&hello).expect("JSON");
        let text = |name: &str| hello[name].as_str().expect(name).to_owned();
        Self {
            plc_url: text("plc"),
            pds_url: text("pds"),
            admin_password: text("admin_password"),
            child,
            talk: Mutex::new((stdin, lines)),
            _data: data,
        }
    }

    /// `http://localhost:…`, the PLC directory.
    #[must_use]
    pub fn plc_url(&self) -> &str {
        &self.plc_url
    }

    /// `http://localhost:…`, the PDS. Handles on it end in `.test`; which one is asked it tells by
    /// the `Host` header. Its firehose is `ws://…/xrpc/com.atproto.sync.subscribeRepos`.
    #[must_use]
    pub fn pds_url(&self) -> &str {
        &self.pds_url
    }

    /// For `com.atproto.admin.*`, with the user `admin`.
    #[must_use]
    pub fn admin_password(&self) -> &str {
        &self.admin_password
    }

    /// Makes an account with the handle `{name}.test`.
    ///
    /// # Panics
    /// When the PDS refuses.
    pub async fn create_account(&self, name: &str) -> Account {
        let handle = format!("{name}.test");
        let email = format!("{name}@example.com");
        let body = json!({"handle": handle, "email": email, "password": "a good password"});
        let made = self.post("com.atproto.server.createAccount", None, body).await;
        let made = made.expect("an account");
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        Account { did: text("did"), access: text("accessJwt"), handle }
    }

    /// Gives an account another handle, in the directory and on the PDS.
    ///
    /// # Panics
    /// When the PDS refuses.
    pub async fn update_handle(&self, account: &Account, handle: &str) {
        let body = json!({"handle": handle});
        let done = self.post("com.atproto.identity.updateHandle", Some(account), body).await;
        done.expect("another handle");
    }

    /// Writes a record, and tells its `uri` and `cid`. The PDS does not judge it.
    ///
    /// # Panics
    /// When the PDS refuses.
    pub async fn create_record(&self, by: &Account, collection: &str, record: Value) -> Value {
        let body = json!({
            "repo": by.did, "collection": collection, "record": record, "validate": false,
        });
        let made = self.post("com.atproto.repo.createRecord", Some(by), body).await;
        made.expect("a record")
    }

    /// A procedure of the PDS.
    pub async fn post(
        &self,
        nsid: &str,
        by: Option<&Account>,
        body: Value,
    ) -> Result<Value, String> {
        let auth = by.map(|account| format!("Bearer {}", account.access));
        let call = json!({
            "call": "xrpc", "method": "POST", "nsid": nsid, "auth": auth, "body": body,
        });
        self.call(call).await
    }

    /// A query of the PDS.
    pub async fn get(
        &self,
        nsid: &str,
        by: Option<&Account>,
        params: Value,
    ) -> Result<Value, String> {
        let auth = by.map(|account| format!("Bearer {}", account.access));
        let call = json!({
            "call": "xrpc", "method": "GET", "nsid": nsid, "auth": auth, "params": params,
        });
        self.call(call).await
    }

    /// Registers a DID that is no account, and tells it and its key as `did:key:…`. Its document
    /// claims what it is told to.
    ///
    /// # Panics
    /// When the directory refuses.
    pub async fn create_did(&self, handle: &str, pds: &str) -> (String, String) {
        let call = json!({"call": "create_did", "handle": handle, "pds": pds});
        let made = self.call(call).await.expect("a DID");
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        (text("did"), text("signing_key"))
    }

    /// Changes the handle that a document claims, in the directory alone.
    ///
    /// # Panics
    /// When the directory refuses.
    pub async fn claim_handle(&self, did: &str, handle: &str) {
        let call = json!({"call": "claim_handle", "did": did, "handle": handle});
        self.call(call).await.expect("another handle");
    }

    /// Ends a DID for good, in the directory.
    ///
    /// # Panics
    /// When the directory refuses.
    pub async fn tombstone(&self, did: &str) {
        let call = json!({"call": "tombstone", "did": did});
        self.call(call).await.expect("a tombstone");
    }

    async fn call(&self, call: Value) -> Result<Value, String> {
        let mut talk = self.talk.lock().await;
        let (stdin, lines) = &mut *talk;
        stdin.write_all(format!("{call}\n").as_bytes()).await.expect("it runs");
        let line = lines.next_line().await.expect("UTF-8").expect("it runs");
        let mut answer: Value = serde_json::from_str(&line).expect("JSON");
        match answer["error"].take() {
            Value::Null => Ok(answer["ok"].take()),
            error => Err(error.as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("atproto")
}

/// The folder that the packages are in; installs them when they are missing.
fn packages() -> PathBuf {
    let run = || -> io::Result<_> {
        Command::new("bash").arg(folder().join("install")).stderr(Stdio::inherit()).output()
    };
    let output = run().expect("bash runs");
    assert!(output.status.success(), "the PDS and PLC could not be installed (see above)");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().into()
}
