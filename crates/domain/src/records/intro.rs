//! `net.rhiz.intro.request`: somebody asks to be introduced.

use super::Fields;
use crate::syntax::Did;
use jiff::Timestamp;

/// How far an introduction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum IntroStatus {
    Pending,
    Accepted,
    Declined,
    Completed,
    Cancelled,
}

const STATUSES: [(&str, IntroStatus); 5] = [
    ("pending", IntroStatus::Pending),
    ("accepted", IntroStatus::Accepted),
    ("declined", IntroStatus::Declined),
    ("completed", IntroStatus::Completed),
    ("cancelled", IntroStatus::Cancelled),
];

/// What is read from an introduction request.
#[derive(Debug, Clone, PartialEq)]
pub struct Intro {
    /// Who is to be met. The requester is the repo's owner.
    pub target: Did,
    /// Who is asked to introduce them.
    pub intermediary: Option<Did>,
    /// How far it is.
    pub status: IntroStatus,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Intro {
    pub(super) fn read(f: &mut Fields<'_>, owner: &Did) -> Option<Self> {
        if let Some(requester) = f.did("requester")
            && requester != *owner
        {
            f.error("requester", format!("it has to be {owner}, whose repo the record is in"));
        }
        let target = f.did("target");
        let intermediary = f.did_opt("intermediary");
        f.text_max("context", 500);
        f.text_max("message", 2000);
        let status = f.one_of("status", &STATUSES);
        f.at_uri_opt("pathRef");
        let created_at = f.datetime("createdAt");
        f.datetime_opt("updatedAt");
        Some(Self { target: target?, intermediary, status: status?, created_at: created_at? })
    }
}
