//! The command line: what can be asked for. What is done about it is in `commands`.

use crate::config::{self, Flag};
use clap::{ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

/// The relationship layer of the AT Protocol: who knows whom, how well, and who says so.
#[derive(Debug, Parser)]
#[command(name = "rhiz", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  rhiz demo                  a made-up network, alive at http://127.0.0.1:8000
  rhiz serve                 index the network and serve the API
  rhiz config show           what is configured, and where each value comes from

Exit codes: 0 fine, 1 failed, 2 usage, 78 configuration.";

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file [default: ./rhiz.toml, else rhiz.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the database and the generated key [default: ./rhiz-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// off, error, warn, info, debug, trace, or directives such as info,rhiz=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Index the network, and serve the API and the explorer
    #[command(after_help = "\
Examples:
  rhiz serve
  rhiz serve --port 0 --data-dir /var/lib/rhiz
  DATABASE_URL=postgresql://rhiz@db/rhiz API_HOST=0.0.0.0 rhiz serve")]
    Serve(ServeArgs),
    /// Serve a made-up network with a live stream of events
    ///
    /// It has a database of its own and reads nothing from the network, so it needs nothing else
    /// and touches nothing else.
    #[command(after_help = "\
Examples:
  rhiz demo
  rhiz demo --people 5000 --seed 7
  rhiz demo --data-dir /tmp/demo --port 8080 --no-stream")]
    Demo(DemoArgs),
    /// Import recorded events from files
    ///
    /// JSON lines in the shape of Jetstream, plain or zstd. Events go through the same pipeline as
    /// those of the network; what was imported before is not applied again, so an import that was
    /// stopped or killed goes on where it was.
    #[command(after_help = "\
Examples:
  rhiz import events.jsonl
  rhiz import events.jsonl.zst --server https://rhiz.example.org --key-file operator.key
  zstdcat events.jsonl.zst | rhiz import -")]
    Import(ImportArgs),
    /// Check configuration, database and graph, and say what to do about what is wrong
    #[command(after_help = "\
Examples:
  rhiz doctor
  rhiz doctor --config /etc/rhiz.toml")]
    Doctor,
    /// Make graph and scores anew from the records, where the database is damaged
    ///
    /// Compares everything that is derived from records with what follows from them, and writes
    /// what differs. The server has to be stopped. It can be broken off and started again.
    #[command(after_help = "\
Examples:
  rhiz rebuild
  rhiz rebuild --data-dir /var/lib/rhiz && rhiz doctor")]
    Rebuild,
    /// List, read, replay and discard dead letters
    #[command(
        subcommand,
        after_help = "\
Examples:
  rhiz dlq list
  rhiz dlq show 0199f3a2
  rhiz dlq replay --type relationship.created --dry-run"
    )]
    Dlq(DlqCommand),
    /// Show or check the configuration
    #[command(
        subcommand,
        after_help = "\
Examples:
  rhiz config show
  rhiz config check --config /etc/rhiz.toml"
    )]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  rhiz completions bash > /etc/bash_completion.d/rhiz
  rhiz completions zsh > ~/.zfunc/_rhiz")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `rhiz serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on; 0 takes any free one [default: 8000]
    #[arg(long)]
    pub port: Option<String>,
    /// sqlite:PATH or postgresql://… [default: sqlite:rhiz.db, in the data directory]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

/// `rhiz demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Port to listen on; 0 takes any free one [default: 8000]
    #[arg(long)]
    pub port: Option<String>,
    /// How many people there are
    #[arg(long, default_value_t = 2000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub people: u32,
    /// The same seed makes the same people
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Leave out the live stream of events
    #[arg(long)]
    pub no_stream: bool,
}

/// Which server a command talks to.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server [default: the one that is configured here]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// File with its internal key [default: INTERNAL_API_KEY, else internal.key in the data directory]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// `rhiz import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files of JSON lines, plain or zstd; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Send the lines to this running server [default: work on the data directory, which no
    /// server may be using]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// File with the server's internal key [default: INTERNAL_API_KEY, else internal.key in the
    /// data directory]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub key_file: Option<PathBuf>,
}

/// `rhiz dlq …`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters, newest first
    #[command(after_help = "\
Examples:
  rhiz dlq list
  rhiz dlq list --type attestation.created --since 2026-11-01T00:00:00Z --limit 2000
  rhiz dlq list --all --json > letters.jsonl")]
    List {
        /// Which ones.
        #[command(flatten)]
        filter: DlqFilter,
        /// So many of the newest
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// All that match
        #[arg(long, conflicts_with = "limit")]
        all: bool,
        /// Print each as a line of JSON, with its stages and payload
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one in full: the event, its stages and the last error
    #[command(after_help = "\
Examples:
  rhiz dlq show 0199f3a2")]
    Show {
        /// The event's id
        id: String,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Put dead letters back into the queue
    ///
    /// Only what is dead when it begins: what is given up again stays. It waits while the queue is
    /// full, and ends when this command is broken off; what was put back until then stays so.
    #[command(after_help = "\
Examples:
  rhiz dlq replay 0199f3a2 0199f3b7
  rhiz dlq replay --did did:plc:ewvi7nxzyoun6zhxrhs64oiz --dry-run
  rhiz dlq replay --type relationship.created --until 2026-11-01T12:00:00Z
  rhiz dlq replay --all --per-second 50")]
    Replay {
        /// Which ones, and how.
        #[command(flatten)]
        change: DlqChange,
        /// So many a second at most [default: 1000]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        per_second: Option<u32>,
    },
    /// Delete dead letters for good
    #[command(after_help = "\
Examples:
  rhiz dlq discard 0199f3a2
  rhiz dlq discard --type identity.updated --dry-run")]
    Discard(DlqChange),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct DlqFilter {
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Only events of this account
    #[arg(long)]
    pub did: Option<String>,
    /// Only what died since then, as in 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<jiff::Timestamp>,
    /// Only what died before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<jiff::Timestamp>,
}

/// `rhiz dlq replay` and `rhiz dlq discard`. Something has to be named: all of them only by `--all`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "event_type", "did", "since", "until", "all"])))]
pub struct DlqChange {
    /// Ids of events
    #[arg(value_name = "ID", conflicts_with_all = ["event_type", "did", "since", "until", "all"])]
    pub ids: Vec<String>,
    /// Which ones.
    #[command(flatten)]
    pub filter: DlqFilter,
    /// All of them
    #[arg(long, conflicts_with_all = ["event_type", "did", "since", "until"])]
    pub all: bool,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `rhiz config …`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print every key, its value and where that came from; secrets are hidden
    #[command(after_help = "\
Examples:
  rhiz config show
  API_PORT=9000 rhiz config show | grep api.port")]
    Show,
    /// Say whether the configuration can be used, and all that is wrong with it
    #[command(after_help = "\
Examples:
  rhiz config check
  rhiz config check --config new.toml && mv new.toml rhiz.toml")]
    Check,
    /// Print docs/CONFIGURATION.md
    #[command(hide = true)]
    Table,
}

/// The command line of this process. Ends the process for `--help`, `--version` and what is not
/// understood (exit code 2).
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command, with the table of keys in the long help of those that it is for.
pub fn command() -> clap::Command {
    let with_keys = |command: clap::Command| {
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        command.after_long_help(format!("{examples}\n\n{}", config::help()))
    };
    Cli::command().mut_subcommand("serve", with_keys).mut_subcommand("config", with_keys)
}

impl Cli {
    /// The flags that are keys of the configuration too.
    #[must_use]
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = vec![
            ("data.dir", "--data-dir", &self.global.data_dir),
            ("log.level", "--log-level", &self.global.log_level),
        ];
        match &self.command {
            Command::Serve(args) => flags.extend([
                ("api.host", "--host", &args.host),
                ("api.port", "--port", &args.port),
                ("database.url", "--database-url", &args.database_url),
            ]),
            Command::Demo(args) => flags.push(("api.port", "--port", &args.port)),
            _ => {}
        }
        flags
            .into_iter()
            .filter_map(|(key, flag, text)| Some(Flag { key, flag, text: text.clone()? }))
            .collect()
    }

    /// What the command uses whatever is configured: the demo never writes its made-up people into
    /// a database or a Redis that real ones live in.
    #[must_use]
    pub fn fixed(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let Command::Demo(_) = self.command else { return Vec::new() };
        vec![
            ("database.url", "demo", "sqlite:rhiz.db"),
            ("cache.backend", "demo", "memory"),
            ("firehose.enabled", "demo", "false"),
        ]
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_has_no_contradictions() {
        super::command().debug_assert();
    }

    /// What an example says can be typed.
    #[test]
    fn examples_name_types_that_there_are() {
        fn examples(command: &clap::Command) -> String {
            let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let inner = command.get_subcommands().map(examples);
            inner.fold(own, |all, one| all + "\n" + &one)
        }
        let text = examples(&super::command());
        let mut types = text.split("--type ").skip(1).filter_map(|t| t.split_whitespace().next());
        assert!(types.clone().count() > 2, "{text}");
        assert!(types.all(|t| rhiz_domain::EventType::parse(t).is_some()), "{text}");
    }
}
