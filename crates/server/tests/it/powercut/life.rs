//! One life of a server on the shim's disk: started, loaded from two connections and a relay,
//! stopped; cut short anywhere; and what has to be true of its files and its next life.

use super::{
    shim::{Count, Instant, PHASES, Shim},
    undo::{self, Cut},
};
use crate::{
    crash::{Harm, Ledger, Remains, check_counts},
    dump, firehose,
    http::Client,
    server::{Data, KEY, Server, wait_until},
};
use rand::{SeedableRng, rngs::StdRng};
use rhiz_testkit::relay::Relay;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::runtime::Runtime;

const CONNECTIONS: usize = 2;
/// Messages that follow each answered request of the first connection.
const MESSAGES: u16 = 3;
const SIGKILL: i32 = 9;

/// Where a life begins, and how long it is.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    seed: u64,
    /// Requests of each connection.
    requests: usize,
    /// The files that a killed server left, and what it was told. Without it: nothing is there.
    before: Option<(Data, Ledger)>,
}

impl Origin {
    /// A first start.
    pub(crate) fn nothing(seed: u64) -> Self {
        Self { name: "new", seed, requests: 12, before: None }
    }

    /// A start after a kill, with a WAL so long that it is copied back while under load.
    pub(crate) fn a_long_wal(seed: u64) -> Self {
        // The copying begins at 8,192 pages of 4,096 bytes and a frame's head.
        const FULL: u64 = 8_192 * (4_096 + 24);
        /// Of it, left to the load.
        const LEFT: u64 = 250 * (4_096 + 24);
        let mut ledger = Ledger::new(CONNECTIONS, seed);
        let server = Data::new().serve();
        let client = server.keyed();
        let wal = server.data.path().join("rhiz.db-wal");
        while fs::metadata(&wal).unwrap().len() < FULL - LEFT {
            ledger.one(&client).expect("a server that is alive");
        }
        // What was answered last may still wait.
        let data = server.kill();
        ledger.forget_all_but_the_last();
        Self { name: "old", seed, requests: 30, before: Some((data, ledger)) }
    }

    /// Messages of the relay.
    fn messages(&self) -> u16 {
        self.requests as u16 * MESSAGES
    }

    fn files(&self) -> Data {
        let data = Data::new();
        if let Some((before, _)) = &self.before {
            copy(before, &data);
        }
        data
    }

    /// Begins a life.
    pub(crate) fn begin<'a>(&'a self, runtime: &Runtime) -> Life<'a> {
        let _inside = runtime.enter();
        let relay = Arc::new(runtime.block_on(Relay::start([])).unwrap());
        let mut ledgers: Vec<Ledger> =
            (0..CONNECTIONS).map(|n| Ledger::new(n, self.seed)).collect();
        if let Some((_, ledger)) = &self.before {
            ledgers.push(ledger.clone());
        }
        Life { origin: self, relay, pushed: Arc::default(), ledgers, data: self.files() }
    }
}

/// All files of a data directory.
fn copy(from: &Data, to: &Data) {
    fs::create_dir_all(to.path()).unwrap();
    for entry in fs::read_dir(from.path()).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
}

/// What a life came to when nothing cut it short: every other one has to come to the same.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    tables: Vec<(&'static str, usize, String)>,
    /// Events accepted: each of them once.
    accepted: u64,
}

impl Outcome {
    fn of(data: &Data) -> Self {
        let sound: String = dump::open(&data.path())
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok", "integrity_check at the end");
        let accepted = dump::number(&data.path(), "SELECT count(*) FROM accepted");
        Self { tables: dump::index(&data.path()), accepted }
    }
}

/// A server's data, who talks to it, and what they were answered.
pub(crate) struct Life<'a> {
    origin: &'a Origin,
    relay: Arc<Relay>,
    /// Messages that the relay has.
    pushed: Arc<AtomicU16>,
    /// Of the connections, and of who was there before.
    ledgers: Vec<Ledger>,
    data: Data,
}

impl Life<'_> {
    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("ENABLE_FIREHOSE_INGEST", "true".into()),
            ("ATPROTO_FIREHOSE_URL", self.relay.url()),
            ("FIREHOSE_VERIFY", "false".into()),
        ]
    }

    fn command(&self) -> std::process::Command {
        let environment = self.environment();
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.data.command(&["serve", "--port", "0"], &environment)
    }

    fn push_up_to(&self, n: u16) {
        let before = self.pushed.fetch_max(n, Ordering::Relaxed);
        (before..n).for_each(|n| self.relay.push(firehose::message(n)));
    }

    /// Sends all that is still to be sent, unless the server is gone first.
    fn load(&mut self, server: &Server) {
        let requests = self.origin.requests;
        let mut ledgers = std::mem::take(&mut self.ledgers);
        let this = &*self;
        std::thread::scope(|scope| {
            for (n, ledger) in ledgers.iter_mut().take(CONNECTIONS).enumerate() {
                scope.spawn(move || {
                    let client = server.keyed();
                    while ledger.requests < requests && ledger.one(&client).is_some() {
                        if n == 0 {
                            this.push_up_to(ledger.requests as u16 * MESSAGES);
                        }
                    }
                });
            }
        });
        self.ledgers = ledgers;
    }

    /// Waits until the last message and all before it are in every answer, or the server is gone.
    fn settle(&self, server: &Server) {
        self.push_up_to(self.origin.messages());
        let client = Client::new(server.address, Some(KEY));
        let ask = |path: &str| client.send("GET", path, &[], b"");
        let last = format!("/api/v1/entities/did:plc:from{}", self.origin.messages() - 1);
        wait_until("all is applied", || {
            let Ok(found) = ask(&last) else { return true };
            let Ok(metrics) = ask("/internal/events/metrics") else { return true };
            found.status == 200 && metrics.expect(200)["events_in_queue"] == 0
        });
    }

    /// Lives on the shim's disk. `lie`: a disk that does not flush.
    fn live(&mut self, at: Option<&Instant>, lie: bool) -> (Shim, ExitStatus) {
        let shim = Shim::new(&self.data);
        let mut command = self.command();
        shim.load(&mut command, at, "jetstream:");
        if lie {
            Shim::lie(&mut command);
        }
        let mut server = match Server::try_start(&self.data, command) {
            Ok(server) => server,
            Err((_, status)) => return (shim, status),
        };
        shim.phase(1);
        self.load(&server);
        self.settle(&server);
        shim.phase(2);
        server.signal("TERM");
        let status = server.wait();
        (shim, status)
    }

    /// A whole life: how often each point was passed, and what it came to.
    pub(crate) fn whole(mut self) -> (Vec<Count>, Outcome) {
        let (shim, status) = self.live(None, false);
        assert!(status.success(), "{status}");
        assert_eq!(PHASES.len(), 3);
        (shim.counts(), Outcome::of(&self.data))
    }

    /// A life cut short at an instant; what is wrong after each way that a cut can go. `None` when
    /// the instant did not come.
    pub(crate) fn cut_short(
        mut self,
        at: &Instant,
        lie: bool,
        cuts: &[Cut],
        whole: &Outcome,
    ) -> Option<Vec<(Cut, Harm)>> {
        let (shim, status) = self.live(Some(at), lie);
        if !shim.fired() {
            assert!(status.success(), "{at:?}: {status}");
            return None;
        }
        assert_eq!(status.signal(), Some(SIGKILL), "{at:?}: {status}");
        let after = |cut: &Cut| {
            let data = Data::new();
            copy(&self.data, &data);
            let mut random = StdRng::seed_from_u64(self.origin.seed ^ u64::from(at.nth));
            undo::apply(*cut, &shim.undo, &data.path(), &mut random);
            let harm = self.harm(&data);
            if harm.lost.is_empty() && harm.doubled.is_empty() {
                self.go_on(data, whole);
            }
            (*cut, harm)
        };
        Some(cuts.iter().map(after).collect())
    }

    /// Compares the files with the ledgers and the stream.
    fn harm(&self, data: &Data) -> Harm {
        let mut harm = Harm::default();
        let there = data.path().join("rhiz.db").exists();
        let Some(remains) = there.then(|| Remains::read(data)).flatten() else {
            let gone = self.ledgers.iter().flat_map(|l| &l.fresh);
            harm.lost.extend(gone.map(|op| format!("there is no database: {op:?}")));
            return harm;
        };
        for ledger in &self.ledgers {
            remains.compare(ledger, &mut harm);
        }
        // What the stream sent is there exactly as far as the cursor says.
        let position: Option<i64> = remains
            .conn
            .query_row(
                "SELECT max(position) FROM cursors WHERE source LIKE 'jetstream:%'",
                [],
                |r| r.get(0),
            )
            .unwrap();
        let mut statement = remains
            .conn
            .prepare(
                "SELECT e.did FROM records r JOIN entities e ON e.id = r.owner
                 WHERE e.did LIKE 'did:plc:from%'
                 UNION ALL SELECT did FROM journal WHERE did LIKE 'did:plc:from%'",
            )
            .unwrap();
        let mut found = BTreeSet::new();
        for did in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
            let n: u16 = did.unwrap().strip_prefix("did:plc:from").unwrap().parse().unwrap();
            if !found.insert(n) {
                harm.doubled.push(format!("message {n} of the stream waits and is applied"));
            }
        }
        for n in 0..self.origin.messages() {
            let behind = position.is_some_and(|p| firehose::time_us(n) <= p);
            match (behind, found.contains(&n)) {
                (true, false) => harm.lost.push(format!("the cursor skips message {n}")),
                (false, true) => harm.doubled.push(format!("the cursor repeats message {n}")),
                _ => {}
            }
        }
        harm
    }

    /// The next life, on an honest disk, comes to the same as one that was never cut short.
    fn go_on(&self, data: Data, whole: &Outcome) {
        let mut next = Life {
            origin: self.origin,
            relay: Arc::clone(&self.relay),
            pushed: Arc::clone(&self.pushed),
            ledgers: self.ledgers.clone(),
            data,
        };
        let server = Server::start(&next.data, next.command());
        let client = server.keyed();
        next.ledgers.iter_mut().for_each(|ledger| ledger.resolve(&client));
        next.load(&server);
        next.settle(&server);
        next.ledgers.iter().for_each(|ledger| ledger.check(&client));
        let messages = usize::from(self.origin.messages());
        check_counts(&client, &next.ledgers, (messages, messages + firehose::OTHERS));
        let dead = client.get("/internal/events/dead-letter").expect(200);
        assert_eq!(dead["count"], 0, "{dead}");
        drop(client);
        assert!(server.stop().success());
        assert_eq!(Outcome::of(&next.data), *whole);
    }
}
