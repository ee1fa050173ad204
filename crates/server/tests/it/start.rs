//! Starts that cannot succeed: one sentence, what to do about it, and an exit code.

use crate::server::{Data, KEY, rhiz};
use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

/// It failed like this, and said so in a sentence and a hint, without a trace.
#[track_caller]
fn fails(mut command: Command, code: i32, words: &[&str]) {
    let output: Output = command.env("RUST_BACKTRACE", "1").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{err}");
    // Log lines apart, which are JSON where nobody looks on.
    let said: Vec<&str> = err.lines().filter(|l| !l.starts_with('{')).collect();
    assert!(said.first().is_some_and(|l| l.starts_with("error: ")), "{err}");
    assert!(said.len() <= 2 || code == 78, "a sentence and a hint: {err}");
    for word in words {
        assert!(err.contains(word), "{word:?} is not in {err}");
    }
    for trace in ["panicked", "stack backtrace", "src/", ".rs:", KEY] {
        assert!(!err.contains(trace), "{err}");
    }
    assert!(output.stdout.is_empty(), "nothing is said to be served");
}

fn serve(data: &Data) -> Command {
    data.command(&["serve", "--port", "0"], &[])
}

#[test]
fn a_place_that_cannot_be_written() {
    let data = Data::new();
    let file = data.beside("file");
    fs::write(&file, "not a folder").unwrap();
    for dir in [file.join("data"), file, "/proc/rhiz".into()] {
        let dir = dir.to_str().unwrap();
        for command in [&["serve", "--port", "0"][..], &["import", "x.jsonl"]] {
            let mut command = rhiz(command, &[]);
            command.args(["--data-dir", dir]);
            fails(command, 1, &["data directory", dir, "--data-dir"]);
        }
        let doctor = rhiz(&["doctor", "--data-dir", dir], &[]).output().unwrap();
        let found = String::from_utf8_lossy(&doctor.stdout);
        assert_eq!(doctor.status.code(), Some(1), "{found}");
        assert!(found.contains("WRONG  database") && found.contains(dir), "{found}");
        assert!(found.contains("--data-dir"), "{found}");
    }
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = Data::new();
    let words = ["cannot listen on 127.0.0.1:", &port, "--port"];
    fails(data.command(&["serve", "--port", &port], &[]), 1, &words);
    fails(rhiz(&["demo", "--people", "10", "--port", &port], &[]), 1, &words);
    // Nothing is left locked or broken by it.
    assert!(data.serve().stop().success());
}

#[test]
fn a_database_of_a_newer_version() {
    let data = Data::new();
    assert!(data.serve().stop().success());
    let conn = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    fails(serve(&data), 1, &["newer", "99"]);
}

#[test]
fn a_file_that_is_no_database() {
    let data = Data::new();
    fs::create_dir_all(data.path()).unwrap();
    let file = data.path().join("rhiz.db");
    let text = "this is a diary, not a database. ".repeat(1000);
    fs::write(&file, &text).unwrap();
    fails(serve(&data), 1, &["database", "rhiz.db"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is left as it is");
    // A folder in its place.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fails(serve(&data), 1, &["database", "rhiz.db"]);
}

#[test]
fn a_database_of_another_program() {
    let data = Data::new();
    fs::create_dir_all(data.path()).unwrap();
    let conn = rusqlite::Connection::open(data.path().join("rhiz.db")).unwrap();
    conn.execute_batch("CREATE TABLE entities (name TEXT); INSERT INTO entities VALUES ('mine')")
        .unwrap();
    fails(serve(&data), 1, &["database", "rhiz.db"]);
    let found: String = conn.query_row("SELECT name FROM entities", [], |r| r.get(0)).unwrap();
    assert_eq!(found, "mine");
}

#[test]
fn a_second_server_on_the_same_data() {
    let data = Data::new();
    let server = data.serve();
    let words = ["another rhiz", data.path().to_str().unwrap().to_owned().leak()];
    fails(serve(&data), 1, &words);
    fails(data.command(&["import", "x.jsonl"], &[]), 1, &words);
    // The first one does not mind, and the lock goes with it, however it ends.
    assert_eq!(server.anybody().get("/health").status, 200);
    let data = server.kill();
    assert!(data.serve().stop().success());
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let data = Data::new();
    let toml = data.beside("bad.toml");
    fs::write(&toml, "[api]\nport = \"eighty\"\n[pipeline]\nworkers = 3\n").unwrap();
    let file = ["serve", "--config", toml.to_str().unwrap()];
    fails(data.command(&file, &[]), 78, &["bad.toml:2", "api.port", "0 to 65535"]);
    fails(data.command(&file, &[]), 78, &["pipeline.workers", "pipeline.num_workers"]);
    fs::write(&toml, "[api\nport = 80").unwrap();
    fails(data.command(&file, &[]), 78, &["bad.toml:1"]);
    for (name, value, allowed) in [
        ("API_PORT", "70000", "0 to 65535"),
        ("API_HOST", "nowhere", "address"),
        ("INTERNAL_API_KEY", "short", "16 to 256"),
        ("PATHFINDING_TIMEOUT", "0", "1"),
        ("PIPELINE_MAX_QUEUE_SIZE", "5", "10"),
        ("RATE_LIMIT_ENABLED", "perhaps", "true"),
        ("DATABASE_URL", "mysql://x", "sqlite"),
        ("ATPROTO_FIREHOSE_URL", "https://not-a-stream", "ws"),
        ("API_CORS_ORIGINS", "not an origin", "origin"),
        ("LOG_LEVEL", "loud", "info"),
    ] {
        let words = [name, "cannot be used", "allowed is", allowed];
        fails(
            data.command(
                &["serve", "--port", "0"][..if name == "API_PORT" { 1 } else { 3 }],
                &[(name, value)],
            ),
            78,
            &words,
        );
    }
    assert!(!data.path().exists(), "nothing was made");
}

#[cfg(unix)]
#[test]
fn a_new_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = Data::new();
    let server = data.serve();
    let mode = fs::metadata(data.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "what is private is in the database: {mode:o}");
    drop(server);
}
