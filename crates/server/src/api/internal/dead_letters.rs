//! `/internal/events/dead-letter`: list, replay, discard, and what was done.

use crate::api::{
    App,
    body::{Body, Params, Path, page_size},
    page::Cursor,
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use rhiz_domain::{
    Did, EventId, EventType,
    store::{DeadFilter, DeadLetter, DeadSelection, Moved, Whereabouts},
    syntax::parse_datetime,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

/// Which dead letters are shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(rename = "type")]
    event_type: Option<String>,
    did: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Which dead letters something is done to. A name that is not known is refused: were it passed
/// over, a misspelt condition would mean all of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(rename = "type")]
    event_type: Option<String>,
    did: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl Filter {
    /// As the store takes it; `at` stands before the names of fields that are wrong.
    fn read(&self, at: &str) -> Result<DeadFilter, Problem> {
        let named = |field: &str| format!("{at}{field}");
        let event_type = match &self.event_type {
            None => None,
            Some(name) => Some(EventType::parse(name).ok_or_else(|| {
                let allowed = EventType::allowed();
                Problem::field(named("type"), format!("{name:?} is unknown; allowed: {allowed}"))
            })?),
        };
        let did = self.did.as_deref().map(Did::parse).transpose();
        let time = |field: &str, text: &Option<String>| {
            let time = text.as_deref().map(parse_datetime).transpose();
            time.map_err(|e| Problem::field(named(field), e.to_string()))
        };
        Ok(DeadFilter {
            event_type,
            did: did.map_err(|e| Problem::field(named("did"), e.to_string()))?,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            ..DeadFilter::default()
        })
    }
}

impl Query {
    fn filter(self) -> Result<DeadFilter, Problem> {
        let before = match &self.cursor {
            None => None,
            Some(text) => Some(Cursor::<i64, ()>::read(text)?.0),
        };
        let limit = page_size(self.limit, 50, 1000)?;
        let Self { event_type, did, since, until, .. } = self;
        let filter = Filter { event_type, did, since, until }.read("")?;
        Ok(DeadFilter { before, limit, ..filter })
    }
}

/// A dead letter, as it is shown. A payload that is no JSON is shown as the text it is.
pub(super) fn shown(letter: &DeadLetter) -> Value {
    let payload: Value = serde_json::from_slice(&letter.payload)
        .unwrap_or_else(|_| String::from_utf8_lossy(&letter.payload).into());
    json!({
        "id": letter.id,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "did": letter.did,
        "priority": letter.priority as u8,
        "retry_count": letter.retry_count,
        "timestamp": letter.accepted_at,
        "died_at": letter.died_at,
        "source": letter.origin,
        "stages": letter.stages,
        "last_error": letter.last_error,
        "replayable": letter.replayable,
        "payload": payload,
    })
}

/// Dead letters, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Json<Value>, Problem> {
    let page = app.node.store.dead_letters(query.filter()?).await?;
    let cursor = page.letters.last().filter(|_| page.more).map(|l| Cursor(l.id, ()).write());
    Ok(Json(json!({
        "count": page.count,
        "only_counted": page.uncounted,
        "oldest_died_at": page.oldest,
        "events": page.letters.iter().map(shown).collect::<Vec<_>>(),
        "cursor": cursor,
    })))
}

/// Which dead letters, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    ids: Option<Vec<String>>,
    filter: Option<Filter>,
    #[serde(default)]
    dry_run: bool,
    per_second: Option<NonZeroU32>,
}

/// Ids named in one request at most.
const MOST_IDS: usize = 1000;

/// Dead letters replayed a second, unless it is said otherwise.
const PACE: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not 0");

/// Who is written down: whoever has the key.
const BY: &str = "internal key";

/// What a request names.
enum Which {
    Events(Vec<EventId>),
    Filter(DeadFilter),
}

impl From<Which> for DeadSelection {
    fn from(which: Which) -> Self {
        match which {
            Which::Events(ids) => Self::Events(ids),
            Which::Filter(filter) => Self::Filter(filter),
        }
    }
}

impl Change {
    fn which(&self) -> Result<Which, Problem> {
        match (&self.ids, &self.filter) {
            (Some(ids), None) if ids.len() <= MOST_IDS => {
                let ids = ids.iter().map(|id| EventId::parse(id)).collect::<Result<_, _>>();
                Ok(Which::Events(ids.map_err(|e| Problem::field("ids", e))?))
            }
            (Some(_), None) => Err(Problem::field("ids", format!("more than {MOST_IDS}"))),
            (None, Some(filter)) => Ok(Which::Filter(filter.read("filter.")?)),
            _ => Err(Problem::field(
                "filter",
                "say which: either ids, or a filter of type, did, since and until ({} is all of them)",
            )),
        }
    }
}

/// What would be done to a selection: to all of it, or only to what was an event.
async fn would(app: &App, which: &Which, replay: bool) -> Result<Moved, Problem> {
    let (mut all, mut replayable) = (0, 0);
    match which {
        Which::Filter(filter) => {
            let filter = DeadFilter { limit: 1, before: None, ..filter.clone() };
            let page = app.node.store.dead_letters(filter).await?;
            (all, replayable) = (page.count, page.replayable);
        }
        Which::Events(ids) => {
            // One that is named twice is there once.
            for id in ids.iter().map(EventId::as_str).collect::<BTreeSet<_>>() {
                let id = EventId::parse(id).map_err(|e| Problem::field("ids", e))?;
                if let Some(Whereabouts::Dead(letter)) = app.node.store.find(&id).await? {
                    all += 1;
                    replayable += u64::from(letter.replayable);
                }
            }
        }
    }
    let done = if replay { replayable } else { all };
    Ok(Moved { done, impossible: all - done, more: false })
}

fn shown_done(what: &str, moved: Moved, dry_run: bool) -> Json<Value> {
    Json(json!({what: moved.done, "impossible": moved.impossible, "dry_run": dry_run}))
}

fn done(what: &str, moved: Moved) -> Json<Value> {
    shown_done(what, moved, false)
}

async fn do_replay(app: &App, which: &DeadSelection, pace: NonZeroU32) -> Result<Moved, Problem> {
    let result = app.node.pipeline.replay(which, pace, BY).await;
    result.map_err(|error| Problem::broken_off("replayed", &error))
}

async fn do_discard(app: &App, which: &DeadSelection) -> Result<Moved, Problem> {
    let result = app.node.pipeline.discard(which, BY).await;
    result.map_err(|error| Problem::broken_off("discarded", &error))
}

/// Puts dead letters back into the queue.
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    Body(change): Body<Change>,
) -> Result<Json<Value>, Problem> {
    let which = change.which()?;
    if change.dry_run {
        return Ok(shown_done("replayed", would(&app, &which, true).await?, true));
    }
    let pace = change.per_second.unwrap_or(PACE);
    Ok(done("replayed", do_replay(&app, &which.into(), pace).await?))
}

/// Removes dead letters for good.
pub(crate) async fn discard(
    State(app): State<Arc<App>>,
    Body(change): Body<Change>,
) -> Result<Json<Value>, Problem> {
    if change.per_second.is_some() {
        return Err(Problem::field("per_second", "a discard has no pace: leave it out"));
    }
    let which = change.which()?;
    if change.dry_run {
        return Ok(shown_done("discarded", would(&app, &which, false).await?, true));
    }
    Ok(done("discarded", do_discard(&app, &which.into()).await?))
}

fn one(id: &str) -> Result<DeadSelection, Problem> {
    let id = EventId::parse(id).map_err(|e| Problem::field("id", e))?;
    Ok(DeadSelection::Events(vec![id]))
}

fn found(id: &str, moved: Moved) -> Result<(), Problem> {
    match moved {
        Moved { done: 0, impossible: 0, .. } => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "event_not_found",
            format!("there is no dead letter of the event {id}"),
        )),
        Moved { done: 0, .. } => Err(Problem::new(
            StatusCode::CONFLICT,
            "not_replayable",
            "this input never became an event, so it cannot be replayed: mend it and send it again",
        )),
        _ => Ok(()),
    }
}

/// Puts one back.
pub(crate) async fn replay_one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let moved = do_replay(&app, &one(&id)?, PACE).await?;
    found(&id, moved)?;
    Ok(done("replayed", moved))
}

/// Removes one.
pub(crate) async fn discard_one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let moved = do_discard(&app, &one(&id)?).await?;
    found(&id, moved)?;
    Ok(done("discarded", moved))
}
