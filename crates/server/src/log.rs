//! Logging: to standard error, for people on a terminal, as JSON lines otherwise.

use crate::{
    config::{LogFormat, Logging},
    exit::Failure,
};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Libraries that drown everything else below `info`.
const NOISY: [&str; 7] =
    ["h2", "hickory_proto", "hyper", "hyper_util", "reqwest", "rustls", "tungstenite"];

/// Starts logging. Once in a process; called by `main`'s commands that run for long.
pub fn start(config: &Logging) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal();
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::builder()
        .parse(directives(&config.level))
        .map_err(|error| Failure::failed(format!("log.level cannot be used: {error}")))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
    } else if terminal {
        // Colours, unless NO_COLOR says otherwise.
        registry.with(lines.with_target(false)).try_init()
    } else {
        registry.with(lines.with_target(false).with_ansi(false)).try_init()
    };
    started.map_err(|error| Failure::failed(format!("logging cannot be started: {error}")))
}

/// A bare level means our own words; the libraries stay at `info`.
fn directives(level: &str) -> String {
    match level {
        "debug" | "trace" => {
            NOISY.iter().fold(level.to_owned(), |all, name| all + "," + name + "=info")
        }
        _ => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::directives;

    #[test]
    fn a_bare_level_keeps_libraries_quiet_and_directives_are_left_alone() {
        assert!(directives("debug").starts_with("debug,h2=info,"));
        assert_eq!(directives("warn"), "warn");
        assert_eq!(directives("debug,hyper=trace"), "debug,hyper=trace");
        assert!(tracing_subscriber::EnvFilter::builder().parse(directives("trace")).is_ok());
    }
}
