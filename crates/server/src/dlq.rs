//! `rhiz dlq`: dead letters of a running server.

use crate::{
    cli::{DlqChange, DlqCommand, DlqFilter, ServerArgs},
    config::Config,
    exit::{self, Failure},
    remote::Remote,
};
use rhiz_domain::EventType;
use serde_json::{Value, json};
use std::fmt::Write;

const PLACE: &str = "/internal/events/dead-letter";

/// Runs the command.
pub async fn run(config: Config, command: &DlqCommand) -> Result<(), Failure> {
    match command {
        DlqCommand::List { filter, limit, server } => {
            list(&remote(&config, server)?, filter, *limit).await
        }
        DlqCommand::Show { id, server } => show(&remote(&config, server)?, id).await,
        DlqCommand::Replay(change) => {
            act(&remote(&config, &change.server)?, change, "replay", "replayed").await
        }
        DlqCommand::Discard(change) => {
            act(&remote(&config, &change.server)?, change, "discard", "discarded").await
        }
    }
}

/// The server named, else the one that is configured here.
fn remote(config: &Config, args: &ServerArgs) -> Result<Remote, Failure> {
    let here = format!("http://{}", std::net::SocketAddr::new(config.api.host, config.api.port));
    Remote::new(args.server.as_deref().unwrap_or(&here), args.key_file.as_deref(), config)
}

/// The filter as JSON; a type that does not exist is refused here, with those that do.
fn filter_json(filter: &DlqFilter) -> Result<Value, Failure> {
    let mut value = json!({});
    if let Some(kind) = &filter.event_type {
        EventType::parse(kind).ok_or_else(|| {
            Failure::failed(format!("--type {kind:?} is unknown"))
                .hint(format!("allowed: {}", EventType::allowed()))
        })?;
        value["type"] = json!(kind);
    }
    if let Some(did) = &filter.did {
        value["did"] = json!(did);
    }
    if let Some(since) = filter.since {
        value["since"] = json!(since);
    }
    Ok(value)
}

/// A value as a query carries it: a DID may have a `%` of its own, a time a `+`.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                text.push(char::from(byte));
            }
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

async fn list(remote: &Remote, filter: &DlqFilter, limit: u32) -> Result<(), Failure> {
    let mut path = format!("{PLACE}?limit={limit}");
    if let Some(map) = filter_json(filter)?.as_object() {
        for (name, value) in map {
            let _ = write!(path, "&{name}={}", escaped(value.as_str().unwrap_or_default()));
        }
    }
    let page = remote.get(&path).await?.map_err(|r| r.failure())?;
    let mut text = String::new();
    for letter in page["events"].as_array().into_iter().flatten() {
        let field = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
        let _ = writeln!(
            text,
            "{}  {}  {:24} {:36} {}",
            field("event_id"),
            field("died_at"),
            field("event_type"),
            field("did"),
            field("last_error"),
        );
    }
    let _ = writeln!(text, "{} dead letters match", page["count"]);
    exit::print(&text)
}

async fn show(remote: &Remote, id: &str) -> Result<(), Failure> {
    let event = remote.get(&format!("/internal/events/{id}")).await?.map_err(|r| r.failure())?;
    if event["state"] != "dead" {
        let state = event["state"].as_str().unwrap_or("unknown");
        return Err(Failure::failed(format!("the event {id} is not dead: it is {state}")));
    }
    let text = serde_json::to_string_pretty(&event).map_err(Failure::failed)?;
    exit::print(&(text + "\n"))
}

async fn act(
    remote: &Remote,
    change: &DlqChange,
    action: &str,
    counted: &str,
) -> Result<(), Failure> {
    let mut body = json!({"dry_run": change.dry_run});
    if change.ids.is_empty() {
        body["filter"] = filter_json(&change.filter)?;
    } else {
        body["ids"] = json!(change.ids);
    }
    let path = format!("{PLACE}/{action}");
    let body = body.to_string().into_bytes();
    let answer = remote.post(&path, "application/json", body).await?.map_err(|r| r.failure())?;
    let would = if change.dry_run { "would be " } else { "" };
    let mut text = format!("{} {would}{counted}\n", answer[counted]);
    if let Some(n) = answer["impossible"].as_u64().filter(|n| *n > 0) {
        let _ = writeln!(text, "{n} never became an event and stay where they are");
    }
    exit::print(&text)
}
