//! `rhiz import` on 35,592 real ratings: complete, once, and the same however it is interrupted.

use crate::{
    dump,
    otc::{self, Otc, PEOPLE, RATINGS},
    server::{Data, Server, rhiz, signal, wait_until},
};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

const WHAT: &str = "the import of the Bitcoin OTC ratings";

/// What `rhiz import` says at the end.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    accepted: u64,
    applied: u64,
    duplicate: u64,
    dead: u64,
}

fn summary(output: &Output) -> Summary {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    let words: Vec<&str> = out.split_whitespace().collect();
    let number = |name| {
        let at = words.iter().position(|w| *w == name).unwrap_or_else(|| panic!("{name}: {out}"));
        words[at + 1].parse().unwrap()
    };
    Summary {
        accepted: number("accepted"),
        applied: number("applied"),
        duplicate: number("duplicate"),
        dead: number("dead"),
    }
}

fn all_new(n: usize) -> Summary {
    Summary { accepted: n as u64, applied: n as u64, duplicate: 0, dead: 0 }
}

fn all_known(n: usize) -> Summary {
    Summary { accepted: 0, applied: 0, duplicate: n as u64, dead: 0 }
}

fn import(data: &Data, file: &Path) -> Command {
    data.command(&["import", file.to_str().unwrap()], &[])
}

fn through(server: &Server, data: &Data, file: &Path) -> Command {
    let address = format!("http://{}", server.address);
    data.command(&["import", file.to_str().unwrap(), "--server", &address], &[])
}

/// The whole network, imported once for all tests of a run: a data directory and the output.
pub(crate) fn reference(otc: &'static Otc) -> (&'static Path, &'static Output) {
    static MADE: OnceLock<(PathBuf, Output)> = OnceLock::new();
    let (dir, output) = MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("otc");
        // What an earlier run left is of another day.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("otc.jsonl");
        fs::write(&file, otc.text(RATINGS)).unwrap();
        let data = dir.join("data");
        let output = rhiz(&["import", file.to_str().unwrap()], &[])
            .args(["--data-dir", data.to_str().unwrap()])
            .output()
            .unwrap();
        (data, output)
    });
    (dir, output)
}

/// The file of [`reference`].
fn file(reference: &Path) -> PathBuf {
    reference.parent().unwrap().join("otc.jsonl")
}

fn stats(server: &Server) -> Value {
    server.anybody().get("/api/v1/analytics/network-stats").expect(200)
}

/// The numbers that a whole import ends in, over HTTP.
fn check_whole(server: &Server) {
    let stats = stats(server);
    assert_eq!(stats["total_entities"], PEOPLE);
    assert_eq!(stats["total_relationships"], RATINGS);
    assert_eq!(stats["total_attestations"], 0);
    let dead = server.keyed().get("/internal/events/dead-letter").expect(200);
    assert_eq!((&dead["count"], &dead["only_counted"]), (&0.into(), &0.into()), "{dead}");
}

/// Starts it and stops it in the middle, when so many events are in the journal.
fn until(mut command: Command, data: &Path, events: u64) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut over = false;
    wait_until("enough is accepted", || {
        over = child.try_wait().unwrap().is_some();
        over || dump::accepted(data) >= events
    });
    assert!(!over, "over before it could be stopped: {:?}", child.wait_with_output().unwrap());
    child
}

#[test]
fn all_of_it_is_there_and_adds_up() {
    let Some(otc) = otc::otc(WHAT) else { return };
    let (data, output) = reference(otc);
    assert_eq!(summary(output), all_new(RATINGS));
    let counts: Vec<(&str, usize)> =
        dump::index(data).into_iter().map(|(table, n, _)| (table, n)).collect();
    assert_eq!(
        counts,
        [
            ("entities", PEOPLE),
            ("records", RATINGS),
            ("relationships", RATINGS),
            ("attestations", 0),
            ("profiles", 0),
            ("journal", 0)
        ]
    );
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let Some(otc) = otc::otc(WHAT) else { return };
    let (reference, _) = reference(otc);
    let (data, file) = (Data::new(), file(reference));
    for events in [3_000, 17_000, 30_000] {
        let mut child = until(import(&data, &file), &data.path(), events);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = dump::accepted(&data.path());
    assert!((30_000..RATINGS as u64).contains(&before), "{before}");
    let last = summary(&import(&data, &file).output().unwrap());
    assert_eq!((last.accepted, last.duplicate), (RATINGS as u64 - before, before));
    assert!(last.applied >= last.accepted && last.dead == 0, "{last:?}");
    assert_eq!(dump::index(&data.path()), dump::index(reference));
    assert_eq!(summary(&import(&data, &file).output().unwrap()), all_known(RATINGS));
    check_whole(&data.serve());
}

#[test]
fn stopped_by_the_user_it_says_so_and_goes_on_later() {
    let Some(otc) = otc::otc(WHAT) else { return };
    let data = Data::new();
    let file = data.beside("some.jsonl");
    fs::write(&file, otc.text(12_000)).unwrap();
    for name in ["INT", "TERM"] {
        let before = dump::accepted(&data.path());
        let child = until(import(&data, &file), &data.path(), before + 1);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "SIG{name}: {output:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.starts_with("error: stopped\nhint: what was accepted is safe"), "{err}");
        assert_eq!(dump::number(&data.path(), "SELECT count(*) FROM dead_letters"), 0);
    }
    let before = dump::accepted(&data.path());
    assert!((1..12_000).contains(&before), "{before}");
    let last = summary(&import(&data, &file).output().unwrap());
    assert_eq!((last.accepted, last.duplicate), (12_000 - before, before));
    assert_eq!(dump::number(&data.path(), "SELECT count(*) FROM relationships"), 12_000);
}

#[test]
fn while_it_waits_for_a_pipe_it_can_be_stopped() {
    let data = Data::new();
    let mut child = import(&data, Path::new("-"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: nothing comes, and no end.
    let pipe = child.stdin.take();
    let spooled = || spools(&data.path());
    wait_until("the pipe is read", || !spooled().is_empty());
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    drop(pipe);
}

/// Copies of standard inputs in a directory.
fn spools(data: &Path) -> Vec<String> {
    let Ok(files) = fs::read_dir(data) else { return Vec::new() };
    files
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".spool"))
        .collect()
}

#[test]
fn compressed_or_through_a_pipe_it_is_the_same() {
    let Some(otc) = otc::otc(WHAT) else { return };
    const N: usize = 3_000;
    let text = otc.text(N);
    let (plain, packed, piped) = (Data::new(), Data::new(), Data::new());

    let file = plain.beside("some.jsonl");
    fs::write(&file, &text).unwrap();
    assert_eq!(summary(&import(&plain, &file).output().unwrap()), all_new(N));

    let file = packed.beside("some.jsonl.zst");
    fs::write(&file, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    assert_eq!(summary(&import(&packed, &file).output().unwrap()), all_new(N));
    assert_eq!(summary(&import(&packed, &file).output().unwrap()), all_known(N));

    let pipe = || {
        let mut child = import(&piped, Path::new("-"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        summary(&child.wait_with_output().unwrap())
    };
    // What a killed import left behind takes no room for ever.
    fs::create_dir_all(piped.path()).unwrap();
    fs::write(piped.path().join("import-999999.spool"), "left behind").unwrap();
    assert_eq!(pipe(), all_new(N));
    assert_eq!(pipe(), all_known(N));
    assert_eq!(spools(&piped.path()), [""; 0]);

    assert_eq!(dump::index(&packed.path()), dump::index(&plain.path()));
    assert_eq!(dump::index(&piped.path()), dump::index(&plain.path()));
}

#[test]
fn a_server_takes_it_too_and_neither_death_loses_or_doubles_a_line() {
    let Some(otc) = otc::otc(WHAT) else { return };
    let (reference, _) = reference(otc);
    let (data, file) = (Data::new(), file(reference));
    let server = data.serve();

    // The client dies …
    let mut child = until(through(&server, &data, &file), &data.path(), 5_000);
    child.kill().unwrap();
    child.wait().unwrap();

    // … then the server, under a client, which says so and ends …
    let child = until(through(&server, &data, &file), &data.path(), 15_000);
    assert_eq!(server.kill().path(), data.path());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.starts_with("error: the server at http://127.0.0.1:"), "{err}");
    assert!(err.contains("does not answer"), "{err}");

    // … and one that lives through it finishes what they began.
    let server = data.serve();
    server.settled();
    let before = dump::accepted(&data.path());
    assert!((15_000..RATINGS as u64).contains(&before), "{before}");
    let last = summary(&through(&server, &data, &file).output().unwrap());
    let rest = RATINGS as u64 - before;
    let expected = Summary { accepted: rest, applied: rest, duplicate: before, dead: 0 };
    assert_eq!(last, expected);
    assert_eq!(dump::index(&data.path()), dump::index(reference));
    check_whole(&server);
    let again = summary(&through(&server, &data, &file).output().unwrap());
    assert_eq!(again, all_known(RATINGS));
    assert!(server.stop().success());
}

/// Lines that are of us, or may be, and that no event can be made of; each with a word that its
/// reason has to name.
fn broken(good: &str) -> Vec<(Vec<u8>, &'static str)> {
    let change = |pointer: &str, to: Value| {
        let mut line: Value = serde_json::from_str(good).unwrap();
        *line.pointer_mut(pointer).unwrap() = to;
        line.to_string().into_bytes()
    };
    let without = |parent: &str, field: &str| {
        let mut line: Value = serde_json::from_str(good).unwrap();
        line.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
        line.to_string().into_bytes()
    };
    let mut not_utf8 = good.as_bytes().to_vec();
    not_utf8[20] = 0xff;
    let far = "3zzzzzzzzzzzz";
    vec![
        (good.as_bytes()[..good.len() / 2].to_vec(), "JSON"),
        (b"not JSON at all".to_vec(), "JSON"),
        (not_utf8, "UTF-8"),
        (change("/commit/record/strength", 101.into()), "strength"),
        (change("/commit/record/strength", "50".into()), "strength"),
        (change("/commit/record/participants/0", "did:plc:other".into()), "participants"),
        (change("/commit/record/participants/1", "did:plc:with space".into()), "participants"),
        (change("/commit/record", Value::Null), "record"),
        (change("/commit/record", "text".into()), "record"),
        (change("/commit/operation", "upsert".into()), "upsert"),
        (change("/commit/rev", far.into()), "rev"),
        (change("/commit/rev", "".into()), "rev"),
        (change("/commit/rkey", "../self".into()), "uri"),
        (change("/did", "did:plc:".into()), "did"),
        (change("/time_us", i64::MAX.into()), "time_us"),
        (without("/commit/record", "createdAt"), "createdAt"),
        (without("/commit/record/privacy", "visibility"), "visibility"),
        (without("/commit", "record"), "record"),
        (without("", "commit"), "commit"),
    ]
}

#[test]
fn each_broken_line_is_one_dead_letter_and_stops_nothing() {
    let Some(otc) = otc::otc(WHAT) else { return };
    const N: usize = 2_000;
    let broken = broken(&otc.lines[0]);
    let mut text: Vec<u8> = Vec::new();
    // Broken ones first, last, and in between; and what is none of our business.
    for (i, line) in otc.lines[..N].iter().enumerate() {
        let every = N / broken.len();
        if i % every == 0 && i / every < broken.len() {
            text.extend_from_slice(&broken[i / every].0);
            text.push(b'\n');
        }
        if i % 100 == 0 {
            text.extend_from_slice(b"\n  \n");
            let other = line.replace("net.rhiz.relationship.record", "app.bsky.feed.post");
            text.extend_from_slice(other.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    // The last line has no end.
    text.extend_from_slice(b"{\"did\": \"did:plc:cut");
    let dead = broken.len() + 1;

    let data = Data::new();
    let file = data.beside("broken.jsonl");
    fs::write(&file, &text).unwrap();
    let first = summary(&import(&data, &file).output().unwrap());
    assert_eq!(first, Summary { dead: dead as u64, ..all_new(N) });
    assert_eq!(summary(&import(&data, &file).output().unwrap()), all_known(N + dead));

    let whole = Data::new();
    let clean = whole.beside("clean.jsonl");
    fs::write(&clean, otc.text(N)).unwrap();
    assert_eq!(summary(&import(&whole, &clean).output().unwrap()), all_new(N));
    assert_eq!(dump::index(&data.path()), dump::index(&whole.path()));

    let server = data.serve();
    assert_eq!(stats(&server)["total_relationships"], N);
    let letters = server.keyed().get("/internal/events/dead-letter?limit=100").expect(200);
    assert_eq!(letters["count"], dead, "{letters}");
    let letters = letters["events"].as_array().unwrap();
    assert_eq!(letters.len(), dead);
    for ((line, word), letter) in broken.iter().zip(letters.iter().rev()) {
        let reason = letter["last_error"].as_str().unwrap();
        assert!(reason.contains(word), "{word:?} in {reason:?}");
        let kept = match &letter["payload"] {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        assert_eq!(kept, String::from_utf8_lossy(line), "the raw bytes are kept");
    }

    // Through a server the same, into the same.
    let through_server = Data::new();
    let server = through_server.serve();
    let sent = summary(&through(&server, &through_server, &file).output().unwrap());
    assert_eq!(sent, Summary { dead: dead as u64, ..all_new(N) });
    assert_eq!(dump::index(&through_server.path()), dump::index(&whole.path()));
    let count = server.keyed().get("/internal/events/dead-letter").expect(200)["count"].clone();
    assert_eq!(count, dead);
}

#[test]
fn what_cannot_be_read_is_told_in_a_sentence() {
    let data = Data::new();
    let folder = data.beside("folder");
    fs::create_dir_all(&folder).unwrap();
    let picture = data.beside("picture.jsonl");
    fs::write(&picture, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    for (path, words) in [
        (data.beside("missing.jsonl"), "missing.jsonl"),
        (folder, "a directory"),
        (picture, "gzip"),
    ] {
        let output = import(&data, &path).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.starts_with("error: ") && err.contains(words), "{err}");
        assert!(!err.contains("panicked") && err.lines().count() <= 2, "{err}");
    }
}
