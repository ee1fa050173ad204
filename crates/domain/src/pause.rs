//! What of the pipeline stands still.

use crate::EventType;

/// A set of event types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventTypes(u32);

impl EventTypes {
    /// Every type.
    #[must_use]
    pub fn all() -> Self {
        EventType::ALL.iter().copied().collect()
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, event_type: EventType) -> bool {
        self.0 & (1 << event_type as u32) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of either.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are not among the others.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// One after the other, in the order of the spec.
    pub fn iter(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |t| self.contains(*t))
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<I: IntoIterator<Item = EventType>>(types: I) -> Self {
        Self(types.into_iter().fold(0, |set, t| set | 1 << t as u32))
    }
}

/// Which types stand still, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paused {
    /// Callers are refused; a source is not read while all types are among these.
    pub intake: EventTypes,
    /// What is accepted waits.
    pub work: EventTypes,
}

/// An order to pause or to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Pause, or resume.
    pub on: bool,
    /// Whether it is about intake.
    pub intake: bool,
    /// Whether it is about work.
    pub work: bool,
    /// Which types.
    pub types: EventTypes,
}

impl Paused {
    /// What stands still once the order is carried out.
    #[must_use]
    pub fn after(self, order: Pause) -> Self {
        let change = |asked, now: EventTypes| match (asked, order.on) {
            (false, _) => now,
            (true, true) => now.with(order.types),
            (true, false) => now.without(order.types),
        };
        Self { intake: change(order.intake, self.intake), work: change(order.work, self.work) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_changes_what_it_is_about() {
        use EventType::{AccountUpdated as A, IntroDeleted as I};
        let types = |types: &[EventType]| types.iter().copied().collect::<EventTypes>();
        let order = |on, intake, work, t: &[EventType]| Pause { on, intake, work, types: types(t) };
        let one = Paused::default().after(order(true, true, true, &[A]));
        assert_eq!(one, Paused { intake: types(&[A]), work: types(&[A]) });
        let two = one.after(order(true, false, true, &[I]));
        assert_eq!(two, Paused { intake: types(&[A]), work: types(&[A, I]) });
        assert_eq!(two.work.iter().collect::<Vec<_>>(), [A, I]);
        let all = Pause { on: false, intake: true, work: true, types: EventTypes::all() };
        assert_eq!(two.after(all), Paused::default());
        assert!(EventTypes::all().contains(I) && !types(&[A]).contains(I));
    }
}
