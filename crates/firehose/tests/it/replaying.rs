//! Files: what is read of them, and what is said of those that cannot be read.

use crate::messages::{T0, clock, created, many};
use rhiz_domain::{Origin, store::Rejected};
use rhiz_firehose::{FileSource, FirehoseError, Intake, MAX_MESSAGE, Source, digest, spool};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

struct File {
    dir: TempDir,
}

impl File {
    fn path(&self) -> PathBuf {
        self.dir.path().join("events")
    }
    fn source(&self) -> FileSource {
        FileSource::new(&self.path(), &digest(&self.path(), |_, _| {}).unwrap(), clock())
    }
}

fn file(bytes: impl AsRef<[u8]>) -> File {
    let file = File { dir: tempfile::tempdir().unwrap() };
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Events, rejected inputs, last position.
fn read(file: &File, from: Option<u64>) -> (Vec<String>, Vec<Rejected>, Option<u64>) {
    let (mut ids, mut rejected, mut position) = (Vec::new(), Vec::new(), None);
    for intake in file.source().replay(from).unwrap() {
        let Intake { events, rejected: more, cursor } = intake.unwrap();
        ids.extend(events.iter().map(|e| e.event_id.to_string()));
        rejected.extend(more);
        assert!(cursor.as_ref().map(|c| c.position) > position);
        position = cursor.map(|c| c.position);
    }
    (ids, rejected, position)
}

fn opened(file: &File, from: Option<u64>) -> FirehoseError {
    file.source().replay(from).err().expect("it was opened")
}

#[test]
fn lines_end_as_they_like_and_blank_ones_do_not_count() {
    let [a, b]: [String; 2] = many(2).try_into().unwrap();
    for (text, events) in [
        (format!("{a}\n{b}\n"), 2),
        (format!("{a}\n{b}"), 2),
        (format!("{a}\r\n\r\n{b}\r\n"), 2),
        (format!("\n\n  \n{a}\n\t\n{b}\n\n"), 2),
        (format!("\u{feff}{a}\n"), 1),
        (String::new(), 0),
        ("\n".into(), 0),
    ] {
        let file = file(&text);
        let (ids, rejected, position) = read(&file, None);
        assert_eq!((ids.len(), rejected.len()), (events, 0), "{text:?}");
        assert_eq!(position.unwrap_or(0), text.len() as u64, "{text:?}");
    }
}

#[test]
fn an_offset_is_where_the_line_begins_and_names_the_event() {
    let [a, b]: [String; 2] = many(2).try_into().unwrap();
    let file = file(format!("{a}\r\n\n{b}"));
    let name = file.source().name().to_owned();
    assert_eq!(name.len(), "file:".len() + 16);
    let intake = file.source().replay(None).unwrap().next().unwrap().unwrap();
    let offsets: Vec<_> = intake
        .events
        .iter()
        .map(|e| match &e.origin {
            Origin::File { digest, offset } if name.ends_with(digest) => *offset,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(offsets, [0, a.len() as u64 + 3]);
    assert_eq!(intake.cursor.unwrap().source, name);
    // Read on from behind the first line: the same line has the same name.
    let (ids, ..) = read(&file, Some(a.len() as u64 + 2));
    assert_eq!(ids, [intake.events[1].event_id.to_string()]);
}

#[test]
fn compressed_in_any_number_of_frames_it_reads_the_same_events() {
    let text = many(3000).join("\n");
    let (head, tail) = text.as_bytes().split_at(text.len() / 3);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let offsets = |f: &File| -> Vec<_> {
        f.source()
            .replay(None)
            .unwrap()
            .flat_map(|i| i.unwrap().events)
            .map(|e| match e.origin {
                Origin::File { offset, .. } => offset,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let expected = offsets(&file(&text));
    assert_eq!(expected.len(), 3000);
    for bytes in [
        zstd(text.as_bytes()),
        [zstd(head), zstd(tail)].concat(),
        [zstd(head), skippable.clone(), zstd(b""), zstd(tail)].concat(),
        [skippable, zstd(text.as_bytes())].concat(),
    ] {
        let file = file(&bytes);
        assert_eq!(offsets(&file), expected);
        let source = file.source();
        let progress = source.progress();
        assert_eq!(progress.read(), 0);
        assert_eq!(source.replay(None).unwrap().count(), 3);
        assert_eq!((progress.read(), progress.total()), (bytes.len() as u64, bytes.len() as u64));
    }
}

#[test]
fn batches_are_bounded_in_lines_and_bytes() {
    let lines = many(2500).join("\n");
    let sizes: Vec<_> =
        file(&lines).source().replay(None).unwrap().map(|i| i.unwrap().events.len()).collect();
    assert_eq!(sizes, [1024, 1024, 452]);

    let bad = format!("{}\n", "x".repeat(MAX_MESSAGE)).repeat(10);
    let sizes: Vec<_> =
        file(&bad).source().replay(None).unwrap().map(|i| i.unwrap().rejected.len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
}

#[test]
fn a_line_of_any_length_is_rejected_and_the_next_one_is_read() {
    let after = created(T0).to_string();
    for n in [MAX_MESSAGE + 1, MAX_MESSAGE + 2, MAX_MESSAGE + 3, 64 * MAX_MESSAGE] {
        for end in ["\n", "\r\n"] {
            let text = format!("{}{end}{after}", "x".repeat(n));
            let file = file(zstd(text.as_bytes()));
            let (ids, rejected, position) = read(&file, None);
            assert_eq!((ids.len(), rejected.len()), (1, 1), "{n}");
            assert!(rejected[0].reason.contains("longer than 1048576"), "{}", rejected[0].reason);
            assert_eq!(rejected[0].raw.len(), Rejected::MAX_RAW);
            assert_eq!(position, Some(text.len() as u64));
        }
    }
    // As long as is allowed: looked at, whatever ends the line.
    for end in ["", "\n", "\r\n"] {
        let (_, rejected, _) = read(&file(format!("{}{end}", "x".repeat(MAX_MESSAGE))), None);
        assert!(rejected[0].reason.contains("not JSON"), "{}", rejected[0].reason);
    }
}

#[test]
fn cut_off_zstd_delivers_what_was_before_and_says_so() {
    let text = many(20_000).join("\n");
    let whole = zstd(text.as_bytes());
    let expected = read(&file(&whole), None).0.len();
    assert_eq!(expected, 20_000);
    for cut in [whole.len() / 2, whole.len() - 1] {
        let file = file(&whole[..cut]);
        let all: Vec<_> = file.source().replay(None).unwrap().collect();
        let (last, before) = all.split_last().unwrap();
        let intakes: Vec<_> = before.iter().map(|i| i.as_ref().unwrap()).collect();
        let events: usize = intakes.iter().map(|i| i.events.len()).sum();
        assert!(events > 0 && intakes.iter().all(|i| i.rejected.is_empty()), "{events}");
        let reached = intakes.last().unwrap().cursor.as_ref().unwrap().position;
        match last {
            Err(e @ FirehoseError::Truncated { offset, .. }) => {
                assert_eq!(*offset, reached);
                assert!(e.to_string().contains("cut off"), "{e}");
            }
            other => panic!("{other:?}"),
        }
        // Whole lines only: what is mended later can be read on from there.
        assert_eq!(text.as_bytes()[reached as usize - 1], b'\n');
    }
    let stub = file(&whole[..5]);
    let all: Vec<_> = stub.source().replay(None).unwrap().collect();
    assert!(matches!(all[..], [Err(FirehoseError::Truncated { offset: 0, .. })]), "{all:?}");
}

#[test]
fn damaged_zstd_delivers_what_was_before_and_says_so() {
    let text = many(5000).join("\n");
    let mut bytes = zstd(text.as_bytes());
    bytes.extend_from_slice(b"and then something that is no frame");
    let all: Vec<_> = file(&bytes).source().replay(None).unwrap().collect();
    let events: usize = all.iter().flatten().map(|i| i.events.len()).sum();
    assert!(events >= 4999, "{events}");
    assert!(matches!(all.last(), Some(Err(FirehoseError::Corrupt { .. }))), "{:?}", all.last());
}

#[test]
fn what_is_no_file_of_lines_is_refused_with_what_is_needed() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let car = [0x3a, 0xa2, 0x65, b'r', b'o', b'o', b't', b's', 0x81, 0xd8, 0x2a, 0x58, 0x25, 0];
    let latin = b"caf\xe9 au lait\n";
    for (bytes, what) in [
        (&gzip[..], "compressed with gzip"),
        (&car[..], "not text"),
        (&latin[..], "not text"),
        (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
        (&zstd(&car)[..], "not text"),
        (&b"PK\x03\x04...."[..], "zip"),
    ] {
        let error = opened(&file(bytes), None);
        assert!(matches!(error, FirehoseError::Binary { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(what) && said.contains("JSON lines are needed"), "{said}");
    }

    let dir = tempfile::tempdir().unwrap();
    let known = file("x").source();
    drop(known);
    let of = |path: &Path| digest(path, |_, _| {}).unwrap_err().to_string();
    assert!(of(dir.path()).contains("is a directory"), "{}", of(dir.path()));
    assert!(of(Path::new("/dev/null")).contains("a pipe or a device"));
    let missing = of(&dir.path().join("missing"));
    assert!(missing.contains("cannot be read") && missing.contains("No such file"), "{missing}");

    // Gone or replaced after its digest was made.
    let file = file("{}\n");
    let source = file.source();
    std::fs::remove_file(file.path()).unwrap();
    let error = source.replay(None).err().unwrap();
    assert!(matches!(error, FirehoseError::Unreadable { .. }), "{error}");
}

#[test]
fn a_position_behind_the_end_is_an_error_and_the_end_is_not() {
    let text = many(2).join("\n");
    let end = text.len() as u64;
    for bytes in [text.clone().into_bytes(), zstd(text.as_bytes())] {
        let file = file(bytes);
        assert_eq!(read(&file, Some(end)).0.len(), 0);
        let error = opened(&file, Some(end + 1));
        assert!(
            matches!(error, FirehoseError::Position { length, .. } if length == end),
            "{error}"
        );
    }
}

#[test]
fn the_digest_is_of_the_file_and_told_as_it_goes() {
    let file = file("abc");
    let mut told = Vec::new();
    let digest = digest(&file.path(), |read, total| told.push((read, total))).unwrap();
    // FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest.to_string(), abc);
    assert_eq!(digest.short(), &abc[..16]);
    assert_eq!(told, [(3, 3)]);
}

#[test]
fn a_pipe_is_spooled_to_a_file_or_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spooled");
    let spooled = spool(&mut &b"abc"[..], &path).unwrap();
    assert_eq!(spooled.bytes, 3);
    assert_eq!(spooled.digest, digest(&path, |_, _| {}).unwrap());

    let error = spool(&mut &b"other"[..], &path).unwrap_err();
    assert!(matches!(error, FirehoseError::Unwritable { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"abc", "what was there stays");

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the pipe burst"))
        }
    }
    let path = dir.path().join("broken");
    let error = spool(&mut (&b"abc"[..]).chain(Broken), &path).unwrap_err();
    assert!(error.to_string().contains("the pipe burst"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn as_a_source_it_ends_stops_and_fails() {
    let text = many(10_000).join("\n");
    let file = file(&text);
    let (out, mut intakes) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Box::new(file.source()).run(None, out, stopped.clone()));
    let mut events = 0;
    while let Some(intake) = intakes.recv().await {
        events += intake.events.len();
    }
    task.await.unwrap().unwrap();
    assert_eq!(events, 10_000);

    // Nobody takes the second intake; still it stops.
    let (out, mut intakes) = mpsc::channel(1);
    let task = tokio::spawn(Box::new(file.source()).run(None, out, stopped.clone()));
    intakes.recv().await.unwrap();
    stop.send_replace(true);
    task.await.unwrap().unwrap();
    stop.send_replace(false);

    std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file.path())
        .unwrap()
        .write_all(&zstd(text.as_bytes())[..2000])
        .unwrap();
    let (out, mut intakes) = mpsc::channel(100);
    let task = tokio::spawn(Box::new(file.source()).run(None, out, stopped));
    while intakes.recv().await.is_some() {}
    let error = task.await.unwrap().unwrap_err();
    assert!(matches!(error, FirehoseError::Truncated { .. }), "{error}");
}
