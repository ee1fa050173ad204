//! `net.rhiz.relationship.record`: one participant states how it knows another.

use super::{Fields, Form};
use crate::{
    fact::{Consent, Visibility},
    syntax::Did,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;

/// What is read from a relationship record.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    /// The participant who does not own the record.
    pub subject: Did,
    /// `professional`, `family`, …; unknown ones are kept as they are.
    pub kind: String,
    /// 0–100.
    pub strength: u8,
    /// What they share, in the owner's words.
    pub context: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// What was agreed to.
    pub consent: Consent,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When they last had to do with each other; unknown in the flat form.
    pub last_interaction: Option<Timestamp>,
    /// Signatures it carries; not checked here.
    pub signatures: Vec<Signature>,
    /// When the record was made.
    pub created_at: Timestamp,
}

/// A signature beside a record, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Whose.
    pub did: Did,
    /// 64 bytes when it can be valid at all.
    pub signature: Vec<u8>,
    /// When it was made, as it says.
    pub signed_at: Option<Timestamp>,
}

const VISIBILITIES: [(&str, Visibility); 3] = [
    ("public", Visibility::Public),
    ("network", Visibility::Network),
    ("private", Visibility::Private),
];
const CONSENTS: [(&str, Consent); 3] =
    [("full", Consent::Full), ("limited", Consent::Limited), ("anonymous", Consent::Anonymous)];

impl Visibility {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        VISIBILITIES[self as usize].0
    }
}
impl Consent {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CONSENTS[self as usize].0
    }
}

impl Relationship {
    pub(super) fn read(f: &mut Fields<'_>, owner: &Did, form: Form) -> Option<Self> {
        let subject = subject(f, owner);
        let kind = f.text_max("type", 100);
        if kind == Some("") {
            f.error("type", "it may not be empty; known types are professional, personal, family, social, civic, educational");
        }
        let strength = f.percent("strength");
        let context = f.text_max("context", 500);
        f.object_opt("verification", |v| {
            for name in ["consensusScore", "topAttesterReputation"] {
                v.percent_opt(name);
            }
            for name in ["attestationCount", "verifyCount", "disputeCount"] {
                v.count_opt(name);
            }
            v.datetime_opt("lastUpdated");
            v.text_opt("trend");
            Some(())
        });
        let privacy = f.object("privacy", |p| {
            p.one_of("visibility", &VISIBILITIES).zip(p.one_of("consent", &CONSENTS))
        });
        let temporal = f.object("temporal", |t| {
            t.objects_opt("history", 10_000, |h| {
                h.datetime("timestamp");
                h.percent("strength");
                h.text_opt("event");
                Some(())
            });
            match form {
                Form::Lexicon => Some((t.datetime("start"), t.datetime("lastInteraction"))),
                Form::Flat => Some((t.datetime_opt("start"), t.datetime_opt("lastInteraction"))),
            }
        });
        let signatures = f.objects_opt("signatures", 16, |s| {
            let did = s.did("did");
            let signature = s.text("signature");
            let signed_at = s.datetime_opt("signedAt");
            let Ok(signature) = STANDARD.decode(signature?) else {
                s.error("signature", "it has to be base64");
                return None;
            };
            Some(Signature { did: did?, signature, signed_at })
        });
        let created_at = f.datetime("createdAt");
        let (visibility, consent) = privacy?;
        let (start, last_interaction) = temporal?;
        Some(Self {
            subject: subject?,
            kind: kind?.into(),
            strength: strength?,
            context: context?.into(),
            visibility,
            consent,
            start,
            last_interaction,
            signatures,
            created_at: created_at?,
        })
    }
}

/// The participant who is not the owner, if the two are as they have to be.
fn subject(f: &mut Fields<'_>, owner: &Did) -> Option<Did> {
    const NAME: &str = "participants";
    if f.get(NAME).is_none() {
        f.error(NAME, "it is required: an array of two DIDs");
        return None;
    }
    let items = f.array_opt(NAME, 2)?;
    if items.len() != 2 {
        f.error(NAME, "it has to name exactly two DIDs");
        return None;
    }
    let mut dids = Vec::with_capacity(2);
    for (i, item) in items.iter().enumerate() {
        let place = format!("{NAME}[{i}]");
        match item.as_str().map(Did::parse) {
            Some(Ok(did)) => dids.push(did),
            Some(Err(e)) => f.error(&place, e.to_string()),
            None => f.error(&place, "it has to be a DID"),
        }
    }
    let [a, b] = <[Did; 2]>::try_from(dids).ok()?;
    if a == b {
        f.error(NAME, "the two have to be different");
        None
    } else if a == *owner {
        Some(b)
    } else if b == *owner {
        Some(a)
    } else {
        f.error(NAME, format!("one of them has to be {owner}, whose repo the record is in"));
        None
    }
}
