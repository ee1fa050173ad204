//! The disk is full, flushes fail, another process holds the lock: callers get 503 with a reason
//! and soon, nothing is half done, reads go on, and the server goes on by itself when the cause is
//! gone, with nothing lost of what was answered or of what the stream sent meanwhile.

use crate::{
    crash::{Harm, Ledger, Remains, check_counts},
    firehose,
    http::{Answer, Client},
    powercut::{
        shim::{Fault, Shim},
        undo::{self, Cut},
    },
    server::{Data, KEY, Server, pause, wait_until},
};
use rand::{SeedableRng, rngs::StdRng};
use rhiz_domain::{Clock, clock::SystemClock};
use rhiz_testkit::relay::Relay;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use tokio::runtime::Runtime;

/// Nobody waits longer for a refusal.
const SOON: Duration = Duration::from_secs(3);

/// Messages of the stream before, during and after the trouble.
const EACH: u16 = 20;

/// Everything is the same in every run.
const SEED: u64 = 42;

/// A server, a stream, and two callers: one with single events, one with batches.
struct Scene {
    server: Server,
    relay: Relay,
    ledgers: [Ledger; 2],
    pushed: u16,
    _runtime: Runtime,
}

/// A caller whose next request has one event, or several.
fn caller(from: usize, single: bool) -> Ledger {
    (from..)
        .map(|n| Ledger::new(n, SEED))
        .find_map(|mut ledger| ((ledger.pending().len() == 1) == single).then_some(ledger))
        .expect("there is no end of them")
}

impl Scene {
    /// `change` makes another command of the usual one.
    fn new(data: &Data, change: impl FnOnce(Command) -> Command) -> Self {
        let runtime = Runtime::new().unwrap();
        let relay = runtime.block_on(Relay::start([])).unwrap();
        let url = relay.url();
        let environment = [
            ("ENABLE_FIREHOSE_INGEST", "true"),
            ("ATPROTO_FIREHOSE_URL", url.as_str()),
            ("FIREHOSE_VERIFY", "false"),
        ];
        let command = data.command(&["serve", "--port", "0"], &environment);
        let server = Server::start(data, change(command));
        let ledgers = [caller(0, true), caller(100, false)];
        let mut scene = Self { server, relay, ledgers, pushed: 0, _runtime: runtime };
        scene.push();
        scene.has_the_stream();
        scene.is_ready(200, "healthy");
        scene
    }

    /// Waits until everything that the relay sent is in every answer.
    fn has_the_stream(&self) {
        let client = self.server.keyed();
        let last = format!("/api/v1/entities/did:plc:from{}", self.pushed - 1);
        wait_until("the stream is there", || client.get(&last).status == 200);
        self.server.settled();
    }

    fn push(&mut self) {
        for n in self.pushed..self.pushed + EACH {
            self.relay.push(firehose::message(n));
        }
        self.pushed += EACH;
    }

    fn is_ready(&self, status: u16, database: &str) {
        let client = self.server.anybody();
        wait_until(&format!("/health/ready is {status}"), || {
            let answer = client.get("/health/ready");
            answer.status == status && answer.json()["checks"]["database"] == database
        });
    }

    /// Both callers are refused, for this reason; nothing of what they sent is there; reads go on.
    fn refuses(&mut self, reason: &str) {
        self.push();
        let client = self.server.keyed();
        for ledger in &mut self.ledgers {
            for _ in 0..2 {
                let clock = SystemClock::default();
                let answer = ledger.offer(&client).unwrap();
                let took = clock.elapsed();
                assert!(took < SOON, "refused after {took:?}");
                refused(&answer, reason);
            }
            for id in ledger.pending() {
                let found = client.get(&format!("/internal/events/{id}"));
                assert_eq!(found.status, 404, "{id} is half done: {}", found.text());
            }
        }
        self.is_ready(503, "unhealthy");
        // Also while each look has to wait for a lock behind many callers.
        let errors = std::iter::repeat_with(|| {
            let details = client.get("/health/detailed").json();
            let database = &details["dependencies"]["database"];
            pause(Duration::from_millis(50));
            database["error"].as_str().map(str::to_owned)
        });
        let errors: Vec<_> = errors.take(30).collect();
        assert!(errors.iter().all(|e| e.as_deref() == Some("unwritable")), "{errors:?}");
        let anybody = self.server.anybody();
        anybody.get("/api/v1/analytics/network-stats").expect(200);
        anybody.get("/api/v1/entities/did:plc:from0").expect(200);
        anybody.get("/health").expect(200);
    }

    /// What was refused is accepted when it is sent again, and all that the stream sent is there.
    fn goes_on(&mut self) {
        let client = self.server.keyed();
        for ledger in &mut self.ledgers {
            for _ in 0..5 {
                ledger.one(&client).unwrap();
            }
        }
        self.is_ready(200, "healthy");
        self.push();
        self.has_the_stream();
        self.check(&self.server);
    }

    fn check(&self, server: &Server) {
        let client = server.keyed();
        self.ledgers.iter().for_each(|ledger| ledger.check(&client));
        let messages = usize::from(self.pushed);
        check_counts(&client, &self.ledgers, (messages, messages + firehose::OTHERS));
        let dead = client.get("/internal/events/dead-letter").expect(200);
        assert_eq!(dead["count"], 0, "{dead}");
    }
}

fn refused(answer: &Answer, reason: &str) {
    let body = answer.expect(503);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok()), "{answer:?}");
    assert_eq!(body["code"], "database_unavailable", "{body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("nothing was stored") && detail.contains(reason), "{detail}");
}

#[test]
fn a_full_disk_refuses_with_the_reason_and_goes_on_when_there_is_room() {
    let data = Data::new();
    let shim = Shim::new(&data);
    let clock = SystemClock::default();
    let mut scene = Scene::new(&data, |mut command| {
        shim.load(&mut command, None, "");
        command
    });
    for _ in 0..2 {
        shim.fault(Fault::NoSpace, 0);
        scene.refuses("the disk is full");
        shim.fault(Fault::None, 0);
        scene.goes_on();
    }
    assert!(shim.refused() > 0);
    // A disk that is full is full for every caller: the log is not filled with that, too.
    let log = scene.server.log();
    let failed = log.matches("a transaction failed").count() as u64;
    let most = 1 + clock.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&failed), "{failed} lines, {most} at most:\n{log}");
    assert!(log.contains("the database can be written again"), "{log}");
    let Scene { server, ledgers, .. } = scene;
    let data = server.kill();
    ledgers.iter().for_each(|ledger| Remains::read(&data).unwrap().check(ledger));
}

/// A file system of its own that has only so many bytes, where this may be made: root may, others
/// where the kernel lets them have a namespace of their own. What the server does on a full disk is
/// tested everywhere, by the test above; this adds the kernel's own `ENOSPC`.
#[test]
#[expect(clippy::print_stderr, reason = "what was not checked is said")]
fn a_small_file_system_that_is_full_refuses_and_goes_on_when_there_is_room() {
    const MOUNT: &str = "mount -t tmpfs -o size=8m,mode=0700 none \"$0\" && exec \"$@\"";
    let data = Data::new();
    fs::create_dir_all(data.path()).unwrap();
    let may = |flags: &str| {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", MOUNT]).arg(data.path()).arg("true");
        let why = match command.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "),
            Err(e) => e.to_string(),
        };
        Err(format!("`unshare {flags}` with a mount in it: {why}"))
    };
    let mut reasons = Vec::new();
    let flags =
        ["-m", "-rm"].into_iter().find(|flags| may(flags).map_err(|e| reasons.push(e)).is_ok());
    let Some(flags) = flags else {
        eprintln!(
            "NOT CHECKED: a file system that is really full, for none may be mounted here ({}); run \
             this as root, or allow user namespaces",
            reasons.join("; ")
        );
        return;
    };
    let mut scene = Scene::new(&data, |command| {
        let mut inside = Command::new("unshare");
        inside.args([flags, "sh", "-c", MOUNT]).arg(data.path());
        inside.arg(command.get_program()).args(command.get_args());
        inside.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    });
    // The server's files are where only it sees them.
    let root = Path::new("/proc").join(scene.server.pid().to_string()).join("root");
    let filler = root.join(data.path().strip_prefix("/").unwrap()).join("filler");
    let mut file = File::create(&filler).unwrap();
    for size in [64 * 1024, 4096, 512, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    scene.refuses("the disk is full");
    fs::remove_file(filler).unwrap();
    drop(file);
    scene.goes_on();
}

#[test]
fn what_another_process_locks_is_refused_soon_and_goes_on_when_it_lets_go() {
    let data = Data::new();
    let mut scene = Scene::new(&data, |command| command);
    let other = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    for _ in 0..2 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        scene.refuses("another program has locked the database");
        many_are_refused_soon(&scene);
        other.execute_batch("ROLLBACK").unwrap();
        scene.goes_on();
    }
}

/// Waiting for the lock is not done once for each caller.
fn many_are_refused_soon(scene: &Scene) {
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for n in 0..32 {
            let tell = tell.clone();
            let address = scene.server.address;
            scope.spawn(move || {
                let mut ledger = caller(1_000 * (n + 1), true);
                let clock = SystemClock::default();
                let answer = ledger.offer(&Client::new(address, Some(KEY))).unwrap();
                tell.send((answer.status, clock.elapsed())).unwrap();
            });
        }
    });
    drop(tell);
    for (status, took) in hear {
        assert_eq!(status, 503);
        assert!(took < SOON, "refused after {took:?}");
    }
}

/// After a flush that failed, what it was for is gone from the disk, though the memory still has it
/// and the next flush succeeds. So nothing of that commit may be answered, ever.
#[test]
fn a_flush_that_fails_is_no_acceptance_and_takes_nothing_along() {
    for (times, seen) in [(1, false), (3, false), (0, true)] {
        let data = Data::new();
        let shim = Shim::new(&data);
        let mut scene = Scene::new(&data, |mut command| {
            shim.load(&mut command, None, "");
            command
        });
        let client = scene.server.keyed();
        scene.ledgers[1].one(&client).unwrap();
        shim.fault(Fault::SyncFails, times);
        if seen {
            scene.refuses("the disk fails");
            shim.fault(Fault::None, 0);
        }
        scene.goes_on();
        assert!(shim.refused() >= times.max(1), "{} flushes failed", shim.refused());
        // Now the machine goes down.
        shim.fault(Fault::Cut, 0);
        for ledger in &mut scene.ledgers {
            assert!(ledger.offer(&client).is_err(), "the power was cut");
        }
        let status = scene.server.wait();
        assert_eq!(status.signal(), Some(9), "{status}");
        let mut random = StdRng::seed_from_u64(SEED);
        undo::apply(Cut::Lost, &shim.undo, &data.path(), &mut random);
        let mut harm = Harm::default();
        let remains = Remains::read(&data).unwrap();
        scene.ledgers.iter().for_each(|ledger| remains.compare(ledger, &mut harm));
        assert!(harm.lost.is_empty() && harm.doubled.is_empty(), "{times}: {harm:#?}");
        let next = data.serve();
        scene.ledgers.iter_mut().for_each(|ledger| ledger.resolve(&next.keyed()));
        next.settled();
        scene.check(&next);
    }
}

/// A start that cannot write says why and what to do, and the next one works.
#[test]
fn a_start_that_cannot_write_says_why() {
    fn fails(mut command: Command, reason: &str) {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(reason) && said.contains("is the disk full"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let serve = |data: &Data| data.command(&["serve", "--port", "0"], &[]);

    let data = Data::new();
    let shim = Shim::new(&data);
    shim.fault(Fault::NoSpace, 0);
    let mut command = serve(&data);
    shim.load(&mut command, None, "");
    // The lock's file is the first that is made.
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("No space left"), "{said}");
    fs::write(data.path().join("rhiz.lock"), "").unwrap();
    let mut command = serve(&data);
    shim.load(&mut command, None, "");
    fails(command, "cannot be opened");
    assert!(data.serve().stop().success());

    let other = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    fails(serve(&data), "another program has locked the database");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    assert!(data.serve().stop().success());
}

/// An import that cannot write any more says why and ends; nothing is half done, and the same
/// command does the rest.
#[test]
fn an_import_that_cannot_write_says_why_and_the_next_one_completes_it() {
    const LINES: u16 = 20_000;
    let records = |data: &Data| -> rusqlite::Result<u16> {
        let path = data.path().join("rhiz.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(path, flags)?;
        db.query_row("SELECT count(*) FROM records", [], |row| row.get(0))
    };
    for full in [true, false] {
        let data = Data::new();
        let file = data.beside("lines.jsonl");
        let lines = (0..LINES).map(|n| firehose::message(n) + "\n");
        fs::write(&file, lines.collect::<String>()).unwrap();
        let import =
            || data.command(&["import", file.to_str().unwrap()], &[("FIREHOSE_VERIFY", "false")]);
        let shim = Shim::new(&data);
        let mut command = import();
        shim.load(&mut command, None, "");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("some of it is there", || records(&data).is_ok_and(|n| n > 0));
        let mut other = None;
        if full {
            shim.fault(Fault::NoSpace, 0);
        } else {
            let db = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
            db.busy_timeout(Duration::from_secs(10)).unwrap();
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            other = Some(db);
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        let reason = if full { "the disk is full" } else { "has locked the database" };
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains(reason), "{said}");
        assert!(said.contains("is the disk full, the directory read-only, or another"), "{said}");
        assert!(said.contains("run the same command again"), "{said}");
        shim.fault(Fault::None, 0);
        drop(other);
        let output = import().output().unwrap();
        let (out, said) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{said}");
        let words: Vec<&str> = out.split_whitespace().collect();
        let number = |name: &str| -> u16 {
            let at = words.iter().position(|w| *w == name).unwrap();
            words[at + 1].parse().unwrap()
        };
        assert!((1..LINES).contains(&number("accepted")), "it was cut off in the middle: {out}");
        assert_eq!((number("accepted") + number("duplicate"), number("dead")), (LINES, 0), "{out}");
        assert_eq!(records(&data), Ok(LINES));
    }
}
