//! Whose attestations count.

use super::{Attestation, Facts, NONE, Record};

impl Facts {
    /// All attestations on a target, each with whether it is its attester's newest. In the order
    /// of the attesters' numbers.
    pub(crate) fn said_of(&self, target: u32) -> impl Iterator<Item = (u32, &Attestation, bool)> {
        let list: &[u32] = if target == NONE { &[] } else { &self.target(target).voices };
        let mut last = NONE;
        list.iter().map(move |&slot| {
            let a = self.attestation(slot);
            (slot, a, std::mem::replace(&mut last, a.attester) != a.attester)
        })
    }

    /// The attestations that count for a record: of each active attester who is not one of its
    /// participants the newest. In the order of the attesters' numbers.
    pub(crate) fn voices(&self, slot: u32) -> impl Iterator<Item = (u32, &Attestation)> {
        let r = self.record(slot);
        self.said_of(r.target).filter_map(|(slot, a, newest)| {
            (newest && self.has_a_voice(a.attester, r)).then_some((slot, a))
        })
    }

    /// Their account is active, and they are not one of the participants.
    pub(crate) fn has_a_voice(&self, who: u32, r: &Record) -> bool {
        who != r.owner && who != r.subject && self.active(who)
    }

    /// Mutually related to one of the participants.
    pub(crate) fn acquainted(&self, who: u32, slot: u32) -> bool {
        let r = self.record(slot);
        self.mutual(who, r.owner) || self.mutual(who, r.subject)
    }
}
