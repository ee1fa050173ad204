//! The processors: which events they take, and what becomes of them.
//!
//! All of them are pure. An event's effect is a merge ([`rhiz_domain::Effect`]), so running one
//! twice, or in another order, ends in the same index; what is invalid is buried with the reason,
//! for no retry would change it.

use rhiz_domain::{Event, EventType, Outcome, payload};
use rhiz_pipeline::Processor;

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

/// Every processor. Together they take every type of event.
#[must_use]
pub fn all() -> Vec<Box<dyn Processor>> {
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
        indexer("identity", &[T::IdentityUpdated]),
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
                assigned_rev: None,
                retry_count: 0,
                stages: vec![],
                origin: Origin::Api,
                verified: false,
            };
            let takers = all().iter().filter(|p| p.can_process(&event)).count();
            assert_eq!(takers, 1, "{event_type}");
        }
    }
}
