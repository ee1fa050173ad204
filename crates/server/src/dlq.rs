//! `rhiz dlq`: dead letters of a running server.

use crate::{
    cli::{DlqChange, DlqCommand, DlqFilter, ServerArgs},
    config::Config,
    exit::{self, Failure},
    remote::Remote,
};
use rhiz_domain::{EventId, EventType};
use serde_json::{Value, json};
use std::fmt::Write;

const PLACE: &str = "/internal/events/dead-letter";

/// Runs the command.
pub async fn run(config: Config, command: &DlqCommand) -> Result<(), Failure> {
    match command {
        DlqCommand::List { filter, limit, all, json, server } => {
            let limit = if *all { u64::MAX } else { *limit };
            list(&remote(&config, server)?, filter, limit, *json).await
        }
        DlqCommand::Show { id, server } => show(&remote(&config, server)?, id).await,
        DlqCommand::Replay { change, per_second } => {
            let pace = per_second.map(|n| json!(n));
            let remote = remote(&config, &change.server)?;
            act(&remote, change, "replay", "replayed", pace).await
        }
        DlqCommand::Discard(change) => {
            let remote = remote(&config, &change.server)?;
            act(&remote, change, "discard", "discarded", None).await
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
    for (name, time) in [("since", filter.since), ("until", filter.until)] {
        if let Some(time) = time {
            value[name] = json!(time);
        }
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

/// The path of an event. Its first character is escaped whatever it is: `metrics` is an id too, and
/// not the page of this name.
fn path_of(id: &str) -> Result<String, Failure> {
    let id =
        EventId::parse(id).map_err(|why| Failure::failed(format!("{id:?} is no id: {why}")))?;
    if matches!(id.as_str(), "." | "..") {
        let why = format!(
            "{id:?} cannot be asked for by HTTP: a path ends differently",
            id = id.as_str()
        );
        return Err(Failure::failed(why).hint("`rhiz dlq list --all --json` has it"));
    }
    let (first, rest) = id.as_str().split_at(1);
    let first = first.as_bytes().first().copied().unwrap_or_default();
    Ok(format!("/internal/events/%{first:02X}{}", escaped(rest)))
}

/// Letters asked for at a time: each brings its payload.
const PAGE: u64 = 200;

fn line(letter: &Value) -> String {
    let field = |name: &str| letter[name].as_str().unwrap_or("-");
    format!(
        "{}  {}  {:24} {:36} {}\n",
        field("event_id"),
        field("died_at"),
        field("event_type"),
        field("did"),
        // One letter is one line, whatever an error says.
        field("last_error").replace(char::is_control, " "),
    )
}

/// Page after page, as they come.
async fn list(remote: &Remote, filter: &DlqFilter, limit: u64, json: bool) -> Result<(), Failure> {
    let mut query = String::new();
    if let Some(map) = filter_json(filter)?.as_object() {
        for (name, value) in map {
            let _ = write!(query, "&{name}={}", escaped(value.as_str().unwrap_or_default()));
        }
    }
    let mut shown = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("{PLACE}?limit={}{query}{cursor}", PAGE.min(limit - shown));
        let page = remote.get(&path).await?.map_err(|r| r.failure())?;
        let letters = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text: String = letters
            .iter()
            .map(|letter| if json { format!("{letter}\n") } else { line(letter) })
            .collect();
        if !exit::still_read(&text)? {
            return Ok(());
        }
        shown += letters.len() as u64;
        match page["cursor"].as_str() {
            Some(next) if shown < limit && !letters.is_empty() => {
                cursor = format!("&cursor={}", escaped(next));
            }
            _ if json => return Ok(()),
            _ => return exit::print(&ending(&page, shown)),
        }
    }
}

/// What stands below a list.
fn ending(page: &Value, shown: u64) -> String {
    let count = page["count"].as_u64().unwrap_or(shown);
    let mut text = format!("{count} dead letters match\n");
    if shown < count {
        text =
            format!("{count} dead letters match; these are the newest {shown}, --all shows all\n");
    }
    if let Some(n) = page["only_counted"].as_u64().filter(|n| *n > 0) {
        let _ =
            writeln!(text, "{n} more inputs were counted and not kept: too many of one account");
    }
    text
}

async fn show(remote: &Remote, id: &str) -> Result<(), Failure> {
    let event = remote.get(&path_of(id)?).await?.map_err(|r| r.failure())?;
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
    per_second: Option<Value>,
) -> Result<(), Failure> {
    let mut body = json!({"dry_run": change.dry_run});
    if let Some(pace) = per_second {
        body["per_second"] = pace;
    }
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
