//! Whose attestations count.

use super::{Attestation, Facts, NONE};

impl Facts {
    /// The attestations that count for a record: of each active attester who is not one of its
    /// participants the newest. In the order of the attesters' numbers.
    pub(crate) fn voices(&self, slot: u32) -> impl Iterator<Item = (u32, &Attestation)> {
        let r = self.record(slot);
        let list: &[u32] = if r.target == NONE { &[] } else { &self.target(r.target).voices };
        let mut last = NONE;
        list.iter().filter_map(move |&slot| {
            let a = self.attestation(slot);
            if std::mem::replace(&mut last, a.attester) == a.attester {
                return None;
            }
            let takes_part = a.attester == r.owner || a.attester == r.subject;
            (!takes_part && self.active(a.attester)).then_some((slot, a))
        })
    }

    /// Mutually related to one of the participants.
    pub(crate) fn acquainted(&self, who: u32, slot: u32) -> bool {
        let r = self.record(slot);
        self.mutual(who, r.owner) || self.mutual(who, r.subject)
    }
}
