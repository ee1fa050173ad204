//! `net.rhiz.relationship.context`: in what field two people work together.

use super::Fields;
use crate::syntax::AtUri;
use jiff::Timestamp;

/// What is read from a context record; the rest stays in its text.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextNote {
    /// The relationship it describes.
    pub relationship: AtUri,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ContextNote {
    pub(super) fn read(f: &mut Fields<'_>) -> Option<Self> {
        let relationship = f.at_uri("relationshipUri");
        for name in ["domain", "collaborationType", "geographicScope"] {
            f.text_opt_max(name, 200);
        }
        f.texts_opt("expertise", 20);
        f.texts_opt("semanticTags", 30);
        f.texts_opt("projectNames", 10);
        f.objects_opt("outcomes", 5, |o| {
            o.text("type");
            o.text_max("description", 200);
            o.datetime_opt("date");
            Some(())
        });
        f.percent_opt("confidenceScore");
        let created_at = f.datetime("createdAt");
        f.datetime_opt("updatedAt");
        Some(Self { relationship: relationship?, created_at: created_at? })
    }
}
