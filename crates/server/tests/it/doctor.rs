//! `rhiz doctor` on a file that a disk damaged.

use crate::server::Data;
use rusqlite::Connection;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

/// Where a page of the table or index begins, and how long it is.
fn page(data: &Data, name: &str) -> (u64, usize) {
    let conn = Connection::open(data.path().join("rhiz.db")).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = $1";
    let root: u64 = conn.query_row(root, [name], |row| row.get(0)).unwrap();
    let size: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    ((root - 1) * size, size as usize)
}

/// What the doctor says, and its exit code.
fn doctor(data: &Data) -> (String, Option<i32>) {
    let output = data.command(&["doctor"], &[]).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn a_damaged_page_is_found_and_left_as_it_is() {
    // The first is read by nobody at a start; without the second nothing can be opened.
    for (name, what) in [("dead_letters_event", "pages"), ("journal", "database")] {
        let data = Data::new();
        assert!(data.serve().stop().success());
        let (said, code) = doctor(&data);
        assert!(code == Some(0) && said.contains("ok     pages"), "{said}");

        let (at, len) = page(&data, name);
        let path = data.path().join("rhiz.db");
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&vec![0xA5; len], at).unwrap();
        drop(file);
        let before = fs::read(&path).unwrap();
        let (said, code) = doctor(&data);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("WRONG  {what}")), "{said}");
        assert!(said.contains("restore a backup"), "{said}");
        assert!(fs::read(&path).unwrap() == before, "{name}: the file was changed");
    }
}
