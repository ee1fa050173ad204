//! `rhiz rebuild` on a database that somebody damaged.

use crate::{
    dump, otc,
    server::{Data, wait_until},
};
use rusqlite::Connection;
use std::process::Output;

/// Everything that is derived is gone, or says something else.
const DAMAGE: &str = "
    DELETE FROM relationships WHERE id % 3 = 0;
    UPDATE relationships SET strength = 4711 WHERE id % 3 = 1;
    INSERT INTO relationships SELECT id + 100000000, subject, owner, rkey + 1, kind, 5, NULL,
        created, rev, 0, 0, 0 FROM relationships WHERE id % 30 = 2;
    UPDATE records SET subject = NULL WHERE id % 5 = 0;";

fn run(data: &Data, command: &str) -> (Output, String) {
    let output = data.command(&[command], &[]).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output, said)
}

fn damage(data: &Data) {
    let conn = Connection::open(data.path().join("rhiz.db")).unwrap();
    conn.execute_batch(DAMAGE).unwrap();
}

/// Steps of a rebuild look at 2,000 records: there are some to be killed between.
const RATINGS: usize = 12_000;

/// A directory with real ratings in it.
fn ratings() -> Option<Data> {
    let otc = otc::otc("rebuilding an index of Bitcoin OTC ratings")?;
    let data = Data::new();
    let file = data.beside("otc.jsonl");
    std::fs::write(&file, otc.text(RATINGS)).unwrap();
    let import = data.command(&["import", file.to_str().unwrap()], &[]).output().unwrap();
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    Some(data)
}

#[test]
fn damage_is_found_mended_and_gone() {
    let Some(data) = ratings() else { return };
    let before = dump::index(&data.path());
    damage(&data);
    assert_ne!(dump::index(&data.path()), before);

    let (output, said) = run(&data, "doctor");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("WRONG  derived") && said.contains("run `rhiz rebuild`"), "{said}");

    let (output, said) = run(&data, "rebuild");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("(added, changed, removed)"), "{said}");
    assert_eq!(dump::index(&data.path()), before, "{said}");

    let (output, said) = run(&data, "doctor");
    assert!(output.status.success() && said.contains("ok     derived"), "{said}");
    let (output, said) = run(&data, "rebuild");
    assert!(output.status.success() && said.contains("nothing had to be changed"), "{said}");
}

/// Killed in the middle, again and again: the last one ends in the same rows.
#[test]
fn a_rebuild_that_was_killed_is_started_again() {
    let Some(data) = ratings() else { return };
    let before = dump::index(&data.path());
    damage(&data);
    let wrong = "SELECT count(*) FROM relationships WHERE strength > 100";
    let mut left = dump::number(&data.path(), wrong);
    for _ in 0..3 {
        let mut child = data.command(&["rebuild"], &[]).spawn().unwrap();
        wait_until("some of it is mended", || dump::number(&data.path(), wrong) < left);
        child.kill().unwrap();
        child.wait().unwrap();
        left = dump::number(&data.path(), wrong);
        if left == 0 {
            break;
        }
    }
    let (output, said) = run(&data, "rebuild");
    assert!(output.status.success(), "{said}");
    assert_eq!(dump::index(&data.path()), before);
    let (output, said) = run(&data, "doctor");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let data = Data::new();
    let server = data.serve();
    let (output, said) = run(&data, "rebuild");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another rhiz is working"), "{said}");
    drop(server);
}
