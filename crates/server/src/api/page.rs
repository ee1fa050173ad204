//! Opaque cursors: what a page ended with, in a form that invites no tampering.

use super::problem::Problem;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rhiz_domain::{Did, Tid, fact::Day};
use rhiz_graph::RiskPlace;
use serde::{Serialize, de::DeserializeOwned};

/// Two values that say where a page ended.
pub(super) struct Cursor<A, B>(pub A, pub B);

/// Why a cursor is refused.
pub(super) fn cursor() -> Problem {
    Problem::field("cursor", "it is none that this server gave: leave it out for the first page")
}

impl<A, B> Cursor<A, B> {
    /// As text.
    pub(super) fn write(&self) -> String
    where
        A: Serialize,
        B: Serialize,
    {
        // Plain values always serialize.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(&self.0, &self.1)).unwrap_or_default())
    }

    /// From text.
    pub(super) fn read(text: &str) -> Result<Self, Problem>
    where
        A: DeserializeOwned,
        B: DeserializeOwned,
    {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| cursor())?;
        let (a, b) = serde_json::from_slice(&bytes).map_err(|_| cursor())?;
        Ok(Self(a, b))
    }
}

/// Where a page of what fades ended.
type Fading = Cursor<(Day, f64), (String, String)>;

/// As a cursor.
pub(super) fn write_fading(place: &RiskPlace) -> String {
    let RiskPlace { on, trust, owner, rkey } = place;
    Cursor((*on, *trust), (owner.to_string(), rkey.to_string())).write()
}

/// From a cursor.
pub(super) fn read_fading(text: &str) -> Result<RiskPlace, Problem> {
    let Cursor((on, trust), (owner, rkey)) = Fading::read(text)?;
    let owner = Did::parse(&owner).map_err(|_| cursor())?;
    let rkey = Tid::parse(&rkey).map_err(|_| cursor())?;
    Ok(RiskPlace { on, trust, owner, rkey })
}
