//! Who lives in the demo network: names from many places, handles, DIDs and a line about each.
//!
//! Everything here depends on the seed alone, so that the same seed is the same people on every
//! machine and every day. Called by `network`.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::groups::Group;
use super::names::CULTURES;

/// What an account stands for; written into `entityType` of its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A human being.
    Person,
    /// A club, a firm, a school: the account of a group.
    Organization,
    /// A program that acts for a group.
    Agent,
}

impl Kind {
    /// The value that `net.rhiz.entity.profile#entityType` carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Organization => "organization",
            Kind::Agent => "agent",
        }
    }
}

/// One account of the demo network.
#[derive(Debug, Clone)]
pub struct Person {
    /// `did:plc:` and 24 characters of base32.
    pub did: String,
    /// A handle under a fictional domain, unique in the network.
    pub handle: String,
    /// The display name, as its owner writes it.
    pub name: String,
    /// What others call them: the given name, or the whole name of what is not a person.
    pub called: String,
    /// Person, organization or agent.
    pub kind: Kind,
    /// The line under the name.
    pub bio: String,
    /// Index into [`CITIES`].
    pub city: usize,
    /// Indices of the groups it belongs to; the first is the one that shapes its days.
    pub groups: Vec<usize>,
    /// The family name alone; empty for what is not a person. Ties of kinship are drawn by it.
    pub family: &'static str,
}

/// Where people live. Real places: a network that could be anywhere convinces nobody.
pub(super) const CITIES: &[&str] = &[
    "Lisbon",
    "Nairobi",
    "Leipzig",
    "Kyoto",
    "Montréal",
    "Accra",
    "Kraków",
    "Medellín",
    "Pune",
    "Glasgow",
    "Izmir",
    "Wellington",
];

/// Fictional domains (RFC 2606 reserves `.example`), so that no handle belongs to anybody.
const DOMAINS: &[&str] =
    &["rhiz.example", "commons.example", "orchard.example", "tidepool.example", "lantern.example"];

const TRADES: &[&str] = &[
    "Hydrologist",
    "Bookbinder",
    "Nurse",
    "Structural engineer",
    "Translator",
    "Baker",
    "Cellist",
    "Data journalist",
    "Carpenter",
    "Speech therapist",
    "Marine biologist",
    "Tram driver",
    "Potter",
    "Public defender",
    "Seed librarian",
    "Sound engineer",
    "Maths teacher",
    "Midwife",
    "Cartographer",
    "Bicycle mechanic",
    "Type designer",
    "Agronomist",
    "Paediatrician",
    "Radio producer",
    "Welder",
    "Compiler engineer",
    "Archivist",
    "Social worker",
    "Glaciologist",
    "Chef",
    "Stage manager",
    "Urban planner",
    "Beekeeper",
    "Statistician",
    "Illustrator",
    "Physiotherapist",
    "Notary",
    "Protocol designer",
    "Gardener",
    "Night-shift pharmacist",
];

const LIKES: &[&str] = &[
    "Slow trains and long tables.",
    "Always up for a walk.",
    "Learning to repair old radios.",
    "Raising two kids and a sourdough.",
    "Ask me about peat bogs.",
    "Writes letters by hand.",
    "Happy to introduce people.",
    "Collects tide tables.",
    "Sings alto, badly.",
    "Weekend volunteer.",
    "Reads maps for fun.",
    "Believes in small institutions.",
    "Mostly offline on Sundays.",
    "Trying to grow figs.",
    "Keeps a very long reading list.",
    "Will talk about fonts.",
];

/// What has been handed out, so that nobody gets it twice.
pub(super) struct Registry {
    dids: HashSet<String>,
    handles: HashSet<String>,
    did_rng: StdRng,
}

impl Registry {
    pub(super) fn new(seed: u64) -> Self {
        Registry {
            dids: HashSet::new(),
            handles: HashSet::new(),
            // A generator of its own: a change in how names are drawn leaves the DIDs alone.
            did_rng: StdRng::seed_from_u64(seed ^ 0x64_69_64_3a_70_6c_63),
        }
    }

    /// The next DID: 120 bits of the seed's own in the alphabet of did:plc.
    pub(super) fn did(&mut self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        loop {
            let mut did = String::from("did:plc:");
            for _ in 0..24 {
                did.push(char::from(ALPHABET[self.did_rng.random_range(0..32)]));
            }
            if self.dids.insert(did.clone()) {
                return did;
            }
        }
    }

    /// `label.domain`, with a number behind the label when it is taken.
    pub(super) fn handle(&mut self, name: &str, domain: &str) -> String {
        // A DNS label has at most 63 characters; the number needs some of them.
        let mut label: String = ascii_label(name).chars().take(50).collect();
        label.truncate(label.trim_end_matches('-').len());
        let mut handle = format!("{label}.{domain}");
        let mut n = 1;
        while !self.handles.insert(handle.clone()) {
            n += 1;
            handle = format!("{label}{n}.{domain}");
        }
        handle
    }
}

/// Draws one person who belongs to `groups`.
pub(super) fn person(
    rng: &mut StdRng,
    registry: &mut Registry,
    city: usize,
    groups: Vec<usize>,
    all: &[Group],
    relative: Option<&'static str>,
) -> Person {
    let culture = &CULTURES[rng.random_range(0..CULTURES.len())];
    let given = pick(rng, culture.given);
    let (family, family_first) = match relative {
        Some(family) => (family, false),
        None => (pick(rng, culture.family), culture.family_first),
    };
    let name = if family_first { format!("{family} {given}") } else { format!("{given} {family}") };
    let domain = pick(rng, DOMAINS);
    let handle = registry.handle(&format!("{given}-{family}"), domain);
    let bio = bio(rng, city, &groups, all);
    Person {
        did: registry.did(),
        handle,
        name,
        called: given.to_owned(),
        kind: Kind::Person,
        bio,
        city,
        groups,
        family,
    }
}

fn bio(rng: &mut StdRng, city: usize, groups: &[usize], all: &[Group]) -> String {
    let trade = pick(rng, TRADES);
    let place = CITIES[city];
    let member =
        groups.first().map(|&g| format!("{} {}.", pick(rng, all[g].kind.roles), all[g].name));
    match rng.random_range(0..10) {
        0 => String::new(),
        1..=3 => format!("{trade} in {place}."),
        4..=6 => format!("{trade} in {place}. {}", member.unwrap_or_default()),
        7 | 8 => format!("{trade}, {place}. {}", pick(rng, LIKES)),
        _ => format!("{} {}", member.unwrap_or_default(), pick(rng, LIKES)),
    }
    .trim()
    .to_owned()
}

/// One of `from`, which is never empty where it is called.
pub(super) fn pick(rng: &mut StdRng, from: &[&'static str]) -> &'static str {
    from.choose(rng).copied().unwrap_or("")
}

/// A name as a DNS label: lower-case ASCII letters, digits and inner hyphens.
fn ascii_label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match fold(c) {
            "" if c.is_ascii_alphanumeric() => label.push(c),
            "" => {
                if !label.is_empty() && !label.ends_with('-') {
                    label.push('-');
                }
            }
            ascii => label.push_str(ascii),
        }
    }
    label.trim_end_matches('-').to_owned()
}

/// The ASCII spelling of the accented letters that the name lists use; "" for any other.
fn fold(c: char) -> &'static str {
    match c {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ą' | 'ả' | 'ạ' | 'ấ' | 'ầ' | 'ă' | 'ặ' => {
            "a"
        }
        'ç' | 'ć' | 'č' => "c",
        'đ' => "d",
        'é' | 'è' | 'ê' | 'ë' | 'ę' | 'ē' | 'ễ' | 'ế' => "e",
        'ğ' => "g",
        'í' | 'ì' | 'î' | 'ï' | 'ı' | '\u{307}' => "i",
        'ł' => "l",
        'ñ' | 'ń' => "n",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' | 'ơ' => "o",
        'ś' | 'ş' | 'š' => "s",
        'ß' => "ss",
        'ú' | 'ù' | 'û' | 'ü' | 'ū' | 'ư' | 'ứ' | 'ụ' => "u",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_becomes_a_label_without_holes() {
        for culture in CULTURES {
            for name in culture.given.iter().chain(culture.family) {
                let label = ascii_label(name);
                let inner = name.chars().filter(|c| matches!(c, '-' | ' ')).count();
                assert!(!label.is_empty() && label.is_ascii(), "{name}: {label}");
                assert_eq!(label.matches('-').count(), inner, "{name}: {label}");
            }
        }
    }

    #[test]
    fn a_taken_handle_gets_a_number() {
        let mut registry = Registry::new(1);
        assert_eq!(registry.handle("Łukasz Wójcik", "a.example"), "lukasz-wojcik.a.example");
        assert_eq!(registry.handle("Lukasz Wojcik", "a.example"), "lukasz-wojcik2.a.example");
    }
}
