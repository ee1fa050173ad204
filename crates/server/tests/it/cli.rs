//! Command line and exit codes.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the binary in `folder` with this environment and no other.
fn rhiz(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_rhiz"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    rhiz(folder.path(), args, &[])
}

#[test]
fn every_command_has_help_with_examples() {
    for command in [
        "",
        "serve",
        "demo",
        "import",
        "doctor",
        "dlq",
        "dlq list",
        "dlq show",
        "dlq replay",
        "dlq discard",
        "config",
        "config show",
        "config check",
        "completions",
    ] {
        for flag in ["--help", "-h"] {
            let args: Vec<&str> = command.split_whitespace().chain([flag]).collect();
            let run = run(&args);
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command}");
            assert!(run.out.contains("Usage: rhiz"), "{command}: {}", run.out);
            assert!(run.out.contains("Examples:\n  rhiz"), "{command}: {}", run.out);
            let first = run.out.lines().next().unwrap();
            assert!(first.len() > 15 && !first.starts_with("Usage"), "{command}: {first}");
        }
    }
}

#[test]
fn the_long_help_of_serve_names_every_key_and_the_short_one_does_not() {
    let long = run(&["serve", "--help"]).out;
    for name in ["API_PORT  [api.port]", "PATHFINDING_TIMEOUT", "INTERNAL_API_KEY", "LOG_FORMAT"] {
        assert!(long.contains(name), "{name}");
    }
    assert!(long.contains("Allowed: a whole number from 0 to 65535\n      Default: 8000"));
    assert!(!run(&["serve", "-h"]).out.contains("PATHFINDING_TIMEOUT"));
}

#[test]
fn what_is_not_understood_ends_with_2() {
    for args in [
        &["srve"][..],
        &[],
        &["serve", "--prot", "1"],
        &["import"],
        &["dlq", "replay"],
        &["dlq", "discard", "--all", "--did", "did:plc:x"],
        &["dlq", "list", "--since", "yesterday"],
        &["demo", "--people", "1"],
        &["config"],
        &["completions", "tcsh"],
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?}");
        assert!(!run.err.is_empty() && run.out.is_empty(), "{args:?}");
    }
    assert!(run(&["srve"]).err.contains("serve"), "the nearest command is suggested");
}

#[test]
fn version_and_completions() {
    let version = run(&["--version"]);
    assert_eq!(version.out, format!("rhiz {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.out.contains("database-url"), "{shell}");
    }
}

#[test]
fn config_show_tells_where_each_value_comes_from_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rhiz.toml"), "[api]\nport = 9000\n").unwrap();
    let environment = [
        ("INTERNAL_API_KEY", "s3cr3t-of-the-operator"),
        ("DATABASE_URL", "postgresql://rhiz:s3cr3t@db/rhiz"),
    ];
    let run = rhiz(folder.path(), &["config", "show", "--log-level", "debug"], &environment);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let lines: Vec<Vec<&str>> =
        run.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in [
        &["api.port", "9000", "rhiz.toml:2"][..],
        &["api.host", "127.0.0.1", "default"],
        &["keys.internal", "(hidden)", "environment", "INTERNAL_API_KEY"],
        &["database.url", "postgresql://rhiz:***@db/rhiz", "environment", "DATABASE_URL"],
        &["log.level", "debug", "flag", "--log-level"],
    ] {
        assert!(lines.iter().any(|l| l == line), "{line:?} in\n{}", run.out);
    }
    assert!(!run.out.contains("s3cr3t"));
    assert!(!folder.path().join("rhiz-data").exists(), "looking changes nothing");
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_78_and_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rhiz.toml"), "[api]\nprot = 9000\n").unwrap();
    let environment = [("MAX_GRAPH_HOPS", "11"), ("INTERNAL_API_KEY", "s3cr3t")];
    let wrong = "error: the configuration has 4 problems
  rhiz.toml:2: `api.prot` is not a key; the nearest is `api.port`
  api.port = \"eighty\" (flag --port) cannot be used: allowed is a whole number from 0 to 65535
  keys.internal (environment INTERNAL_API_KEY) cannot be used: allowed is 16 to 256 visible ASCII characters without spaces, not all alike
  graph.max_hops = \"11\" (environment MAX_GRAPH_HOPS) cannot be used: allowed is a whole number from 1 to 10
hint: `rhiz config show` tells where each value comes from, docs/CONFIGURATION.md what each key means
";
    let run = rhiz(folder.path(), &["serve", "--port", "eighty"], &environment);
    assert_eq!((run.code, run.err.as_str(), run.out.as_str()), (Some(78), wrong, ""));
    for command in [&["config", "check"][..], &["config", "show"], &["doctor"], &["dlq", "list"]] {
        let run = rhiz(folder.path(), command, &environment);
        assert_eq!(run.code, Some(78), "{command:?}");
        assert!(run.err.starts_with("error: the configuration has 3 problems\n"), "{}", run.err);
    }
}

#[test]
fn config_check_says_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = rhiz(folder.path(), &["config", "check"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(run.out, "the configuration can be used (no rhiz.toml, environment and flags)\n");
    let missing = rhiz(folder.path(), &["config", "check", "--config", "missing.toml"], &[]);
    assert_eq!(missing.code, Some(78));
    assert!(missing.err.starts_with("error: missing.toml: there is no such file\n"));
}
