//! The processors: which events they take, and what becomes of them.
//!
//! An event's effect is a merge ([`rhiz_domain::Effect`]), so running one twice, or in another
//! order, ends in the same index; what is invalid is buried with the reason, for no retry would
//! change it. All of them are pure but one: what the network claims of somebody's handle is looked
//! up before it is believed, under a lease.

use crate::identity::{Identities, Unresolved};
use futures_util::FutureExt;
use rhiz_domain::{Effect, Event, EventType, Origin, Outcome, payload};
use rhiz_graph::Graph;
use rhiz_pipeline::{Enrichment, Processor};
use std::sync::Arc;

/// Takes the events of some types and indexes what they say.
struct Indexer {
    name: &'static str,
    takes: &'static [EventType],
}

impl Processor for Indexer {
    fn name(&self) -> &'static str {
        self.name
    }
    fn can_process(&self, event: &Event) -> bool {
        self.takes.contains(&event.event_type)
    }
    fn process(&self, event: &Event) -> Outcome {
        payload::interpret(event).into()
    }
}

/// What is needed to verify a handle.
#[derive(Clone)]
pub struct Verifier {
    /// Asks the network.
    pub identities: Arc<Identities>,
    /// Knows who is somebody here.
    pub graph: Arc<Graph>,
}

/// Takes what is told of identities.
///
/// What an operator's key or file says is the operator's word. What a stream says of a handle is
/// nobody's: it is dropped, and for somebody who is known here the handle is looked up, both ways.
/// (A stream tells of everybody on the network; who is nobody here is not asked about.)
struct Identity {
    verifier: Option<Verifier>,
}

impl Processor for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }
    fn can_process(&self, event: &Event) -> bool {
        event.event_type == EventType::IdentityUpdated
    }
    fn process(&self, event: &Event) -> Outcome {
        match payload::interpret(event) {
            Ok(Effect::Identity { did, time, .. }) if self.verifies(event) => {
                Outcome::Done(Effect::Identity { did, time, handle: None })
            }
            other => other.into(),
        }
    }
    fn enrich(&self, event: &Event) -> Option<Enrichment> {
        let Verifier { identities, graph } =
            self.verifier.clone().filter(|_| self.verifies(event))?;
        let Ok(Effect::Identity { did, time, .. }) = payload::interpret(event) else { return None };
        graph.find(did.as_str())?;
        let work = async move {
            let handle = match identities.resolve(&did, true).await {
                Ok(identity) => identity.and_then(|identity| identity.handle),
                Err(Unresolved { temporary: true, message, .. }) => {
                    let reason = format!("whose handle it is could not be asked: {message}");
                    return Outcome::Retry { reason };
                }
                // Whoever has a document that cannot be read has no handle.
                Err(_) => None,
            };
            Outcome::Done(Effect::Identity { did, time, handle })
        };
        Some(work.boxed())
    }
}

impl Identity {
    fn verifies(&self, event: &Event) -> bool {
        self.verifier.is_some() && matches!(event.origin, Origin::Jetstream { .. })
    }
}

/// Every processor. Together they take every type of event. Without a verifier, what a stream says
/// of handles is believed.
#[must_use]
pub fn all(verifier: Option<Verifier>) -> Vec<Box<dyn Processor>> {
    use EventType as T;
    let indexer = |name, takes| Box::new(Indexer { name, takes }) as Box<dyn Processor>;
    vec![
        indexer(
            "relationship",
            &[T::RelationshipCreated, T::RelationshipUpdated, T::RelationshipDeleted],
        ),
        indexer(
            "attestation",
            &[T::AttestationCreated, T::AttestationUpdated, T::AttestationDeleted],
        ),
        indexer("profile", &[T::ProfileUpdated, T::ProfileDeleted]),
        Box::new(Identity { verifier }),
        indexer("account", &[T::AccountUpdated]),
        indexer("trust", &[T::TrustInvalidated]),
        indexer("intro", &[T::IntroUpdated, T::IntroDeleted]),
        indexer("context", &[T::ContextUpdated, T::ContextDeleted]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhiz_domain::{Did, EventId, Origin};

    #[test]
    fn every_type_of_event_has_exactly_one_processor() {
        for event_type in EventType::ALL {
            let event = Event {
                effect: Default::default(),
                event_id: EventId::parse("e").unwrap(),
                event_type: *event_type,
                did: Did::parse("did:plc:a").unwrap(),
                payload: serde_json::value::RawValue::from_string("{}".into()).unwrap(),
                priority: event_type.default_priority(),
                timestamp: jiff::Timestamp::UNIX_EPOCH,
                replayed_at: None,
                assigned_rev: None,
                retry_count: 0,
                stages: vec![],
                origin: Origin::Api,
                verified: false,
            };
            let takers = all(None).iter().filter(|p| p.can_process(&event)).count();
            assert_eq!(takers, 1, "{event_type}");
        }
    }
}
