//! Logging: to standard error, for people on a terminal, as JSON lines otherwise.

use crate::{
    config::{LogFormat, Logging},
    exit::Failure,
};
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Libraries that drown everything else below `info`.
const NOISY: [&str; 7] =
    ["h2", "hickory_proto", "hyper", "hyper_util", "reqwest", "rustls", "tungstenite"];

/// Starts logging. Once in a process; called by the commands that run for long.
pub fn start(config: &Logging) -> Result<(), Failure> {
    subscriber(config, std::io::stderr, std::io::stderr().is_terminal())?
        .try_init()
        .map_err(|error| Failure::failed(format!("logging cannot be started: {error}")))
}

fn subscriber<W>(
    config: &Logging,
    writer: W,
    terminal: bool,
) -> Result<impl Subscriber + Send + Sync, Failure>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(directives(&config.level))
        .map_err(|error| Failure::failed(format!("log.level cannot be used: {error}")))?;
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(writer);
    let lines = if json {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    } else if terminal {
        // Colours, unless NO_COLOR says otherwise.
        lines.with_target(false).boxed()
    } else {
        lines.with_target(false).with_ansi(false).boxed()
    };
    Ok(tracing_subscriber::registry().with(lines).with(filter))
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
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What an event at `info` and one of a library at `debug` leave behind.
    fn logged(level: &str, format: LogFormat, terminal: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let config = Logging { level: level.to_owned(), format };
        let subscriber = subscriber(&config, move || writer.clone(), terminal).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(request_id = "r1", count = 3, "something happened");
            tracing::debug!(target: "hyper::proto", "much ado");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn machines_get_one_json_object_a_line_with_the_fields_beside_the_message() {
        for text in [logged("info", LogFormat::Auto, false), logged("debug", LogFormat::Json, true)]
        {
            let line: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["message"], "something happened");
            assert_eq!((&line["request_id"], &line["count"]), (&"r1".into(), &3.into()));
            assert!(line["timestamp"].is_string());
        }
    }

    #[test]
    fn people_get_a_line_of_text() {
        let text = logged("info", LogFormat::Human, false);
        let ending = " INFO something happened request_id=\"r1\" count=3\n";
        assert!(text.ends_with(ending), "{text}");
        assert!(!logged("info", LogFormat::Auto, true).starts_with('{'));
    }

    #[test]
    fn the_level_decides_and_libraries_stay_quiet_unless_named() {
        assert_eq!(logged("warn", LogFormat::Json, false), "");
        assert!(!logged("trace", LogFormat::Json, false).contains("much ado"));
        assert!(logged("info,hyper=debug", LogFormat::Json, false).contains("much ado"));
    }
}
