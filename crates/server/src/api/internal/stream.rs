//! `GET /internal/events/stream`: every step of every event, as server-sent events.
//!
//! A message's name is the step (`accepted`, `applied`, `retry`, `snoozed`, `dead`), its data the
//! notice. A listener that is too slow is told how many it missed (`missed`), and the last message
//! is `end`: the server is stopping, so that no listener holds up the stop.

use crate::api::{App, body::Params, problem::Problem};
use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use rhiz_domain::{Did, EventType};
use rhiz_pipeline::{Heard, Listener, Notice};
use serde::Deserialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// A comment is sent after so long a silence, so that nothing between us closes the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which events. A misspelt condition would be all of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(rename = "type")]
    event_type: Option<String>,
    did: Option<String>,
    step: Option<String>,
}

const STEPS: [&str; 5] = ["accepted", "applied", "retry", "snoozed", "dead"];

/// What a listener wants to hear.
struct Wanted {
    event_type: Option<EventType>,
    did: Option<Did>,
    step: Option<String>,
}

impl Query {
    fn read(self) -> Result<Wanted, Problem> {
        let event_type = match &self.event_type {
            None => None,
            Some(name) => Some(EventType::parse(name).ok_or_else(|| {
                let allowed = EventType::allowed();
                Problem::field("type", format!("{name:?} is unknown; allowed: {allowed}"))
            })?),
        };
        let did = self.did.as_deref().map(Did::parse).transpose();
        let did = did.map_err(|e| Problem::field("did", e.to_string()))?;
        if let Some(step) = self.step.as_deref().filter(|step| !STEPS.contains(step)) {
            let message = format!("{step:?} is unknown; allowed: {}", STEPS.join(", "));
            return Err(Problem::field("step", message));
        }
        Ok(Wanted { event_type, did, step: self.step })
    }
}

impl Wanted {
    fn takes(&self, notice: &Notice) -> bool {
        self.event_type.is_none_or(|t| t.as_str() == notice.event_type)
            && self.did.as_ref().is_none_or(|did| did.as_str() == notice.did)
            && self.step.as_deref().is_none_or(|step| step == notice.step.name())
    }
}

/// Listens until the server stops or the caller has heard enough.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let wanted = query.read()?;
    let listener = app.node.pipeline.listen();
    let messages = stream::unfold((listener, wanted), |(listener, wanted)| async move {
        let mut listener = listener?;
        let (message, goes_on) = next(&mut listener, &wanted).await;
        Some((Ok(message), (goes_on.then_some(listener), wanted)))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The next message, and whether more may follow.
async fn next(listener: &mut Listener, wanted: &Wanted) -> (Event, bool) {
    loop {
        return match listener.next().await {
            Heard::Notice(notice) if !wanted.takes(&notice) => continue,
            Heard::Notice(notice) => {
                // A notice is plain data: it always serializes.
                let data = serde_json::to_string(&*notice).unwrap_or_default();
                (Event::default().event(notice.step.name()).data(data), true)
            }
            Heard::Missed(missed) => {
                let data = json!({"missed": missed});
                (Event::default().event("missed").data(data.to_string()), true)
            }
            Heard::End => {
                let data = json!({"reason": "the server is stopping"});
                (Event::default().event("end").data(data.to_string()), false)
            }
        };
    }
}
