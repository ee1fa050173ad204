//! What people do together: kinds of groups, their names, and the sentences that members write
//! about each other. Called by `network` and `stream`.

/// A kind of group, with what its members say.
#[derive(Debug)]
pub(super) struct GroupKind {
    /// Endings of a group's name, as in "Halde *Climbing Club*".
    pub(super) names: &'static [&'static str],
    /// `type` of most relationships in it.
    pub(super) tie: &'static str,
    /// How a member's bio begins; the group's name follows.
    pub(super) roles: &'static [&'static str],
    /// Contexts of a relationship; `{g}` is the group, `{n}` the other's first name, `{y}` a year.
    pub(super) contexts: &'static [&'static str],
    /// `domain` of a relationship context record.
    pub(super) domain: &'static str,
    /// `collaborationType` of a relationship context record.
    pub(super) collaboration: &'static str,
    /// Tags of a relationship context record.
    pub(super) tags: &'static [&'static str],
}

/// One group of the demo network.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Its name, as in "Halde Climbing Club".
    pub(super) name: String,
    /// What it is.
    pub(super) kind: &'static GroupKind,
    /// Index into `people::CITIES`.
    pub(super) city: usize,
    /// How likely a newcomer joins it, beside the others.
    pub(super) pull: f64,
}

/// First parts of group names.
pub(super) const PLACES: &[&str] = &[
    "Halde",
    "Riverside",
    "Lindenhof",
    "Old Mill",
    "Northgate",
    "Saltmarsh",
    "Alfama",
    "Karura",
    "Plagwitz",
    "Kamogawa",
    "Mile End",
    "Osu",
    "Kazimierz",
    "Laureles",
    "Deccan",
    "Clydeside",
    "Karşıyaka",
    "Aro Valley",
    "Harbour",
    "Copperfield",
    "Juniper",
    "Foxglove",
    "Blue Door",
    "Tide Street",
    "Marigold",
    "Stone Bridge",
    "Hilltop",
    "Lantern",
    "Heron",
    "Kestrel",
    "Quarry",
    "Orchard",
    "Ferry Lane",
    "Sundial",
    "Cobalt",
    "Meridian",
    "Thistle",
    "Paper Crane",
    "Firefly",
    "Windmill",
    "Acacia",
    "Basalt",
    "Nightingale",
    "Tern",
    "Fennel",
    "Cedar",
];

/// The kinds, in the order in which they are dealt out.
pub(super) const KINDS: &[GroupKind] = &[
    GroupKind {
        names: &["Climbing Club", "Boulder Collective", "Mountain Section"],
        tie: "social",
        roles: &["Climbs with the", "Route setter at the", "Belays at the"],
        contexts: &[
            "Climbing partners at the {g} since {y}.",
            "{n} has held my rope more often than anyone else at the {g}.",
            "Met on the {g} trip of {y}; we still train on Tuesdays.",
            "We set routes together at the {g}.",
        ],
        domain: "sport",
        collaboration: "mentorship",
        tags: &["climbing", "training", "mountains", "route setting"],
    },
    GroupKind {
        names: &["Hydrology Lab", "Language Lab", "Protein Group", "Network Science Group"],
        tie: "professional",
        roles: &["Postdoc in the", "Studies at the", "Runs instruments at the"],
        contexts: &[
            "Co-authors in the {g}; two papers since {y}.",
            "{n} reviewed every figure of my thesis at the {g}.",
            "We share a bench, a kettle and a grant at the {g}.",
            "Field season of {y} together for the {g}.",
        ],
        domain: "research",
        collaboration: "co-authoring",
        tags: &["field work", "statistics", "peer review", "grant writing"],
    },
    GroupKind {
        names: &["Housing Co-op", "Food Co-op", "Energy Co-op"],
        tie: "civic",
        roles: &["Member of the", "Keeps the books of the", "On the board of the"],
        contexts: &[
            "On the board of the {g} together since {y}.",
            "{n} and I do the Thursday shift at the {g}.",
            "Neighbours in the {g}; we wrote its house rules.",
            "We audited the accounts of the {g} in {y}.",
        ],
        domain: "community",
        collaboration: "governance",
        tags: &["co-operative", "governance", "bookkeeping", "housing"],
    },
    GroupKind {
        names: &["Systems", "Robotics", "Maps", "Health"],
        tie: "professional",
        roles: &["Engineer at", "Early hire at", "Looks after customers at"],
        contexts: &[
            "Built the first version of {g} together in {y}.",
            "{n} hired me at {g}, and I would follow them anywhere.",
            "Same on-call rotation at {g} for years.",
            "We shipped the {y} release of {g} side by side.",
        ],
        domain: "technology",
        collaboration: "employment",
        tags: &["distributed systems", "product", "hiring", "on call"],
    },
    GroupKind {
        names: &["Orchestra", "Chamber Choir", "Wind Band"],
        tie: "social",
        roles: &["Plays in the", "Sings with the", "Page turner of the"],
        contexts: &[
            "Same desk in the {g} since {y}.",
            "{n} and I rehearse with the {g} every Monday.",
            "We toured with the {g} in {y}.",
            "Quartet on the side, {g} in the main.",
        ],
        domain: "arts",
        collaboration: "performance",
        tags: &["music", "rehearsal", "touring", "chamber music"],
    },
    GroupKind {
        names: &["Primary School", "Evening School", "Music School"],
        tie: "educational",
        roles: &["Teaches at", "Parent at", "Librarian at"],
        contexts: &[
            "Taught the same class at {g} in {y}.",
            "{n} mentored me through my first year at {g}.",
            "Parents' council of {g}, {y} until now.",
            "We run the science week of {g}.",
        ],
        domain: "education",
        collaboration: "mentorship",
        tags: &["teaching", "mentoring", "curriculum"],
    },
    GroupKind {
        names: &["Clinic", "Children's Ward", "Ambulance Station"],
        tie: "professional",
        roles: &["Nurse at the", "Volunteers at the", "Night shifts at the"],
        contexts: &[
            "Night shifts at the {g} since {y}.",
            "{n} trained me at the {g}.",
            "We opened the walk-in hours of the {g} together.",
            "Colleagues at the {g}; I trust {n} with my own family.",
        ],
        domain: "healthcare",
        collaboration: "employment",
        tags: &["nursing", "emergency care", "training"],
    },
    GroupKind {
        names: &["Community Garden", "Allotments", "Seed Library"],
        tie: "civic",
        roles: &["Digs at the", "Waters the", "Swaps seeds at the"],
        contexts: &[
            "Neighbouring plots in the {g} since {y}.",
            "{n} rescued my tomatoes at the {g} in {y}.",
            "We run the seed swap of the {g}.",
            "Built the tool shed of the {g} together.",
        ],
        domain: "environment",
        collaboration: "volunteering",
        tags: &["gardening", "biodiversity", "volunteering"],
    },
    GroupKind {
        names: &["Film Collective", "Theatre", "Radio"],
        tie: "professional",
        roles: &["Edits for", "Behind the desk at", "Builds sets for"],
        contexts: &[
            "Made three pieces for {g} since {y}.",
            "{n} mixes what I record at {g}.",
            "We carried the {y} season of {g}.",
            "Producer and presenter at {g}; we finish each other's sentences.",
        ],
        domain: "media",
        collaboration: "production",
        tags: &["editing", "stage", "broadcast", "sound"],
    },
    GroupKind {
        names: &["Protocol Project", "Compiler Project", "Open Atlas"],
        tie: "professional",
        roles: &["Maintainer of the", "Contributes to the", "Writes docs for the"],
        contexts: &[
            "Maintainers of the {g} since {y}.",
            "{n} has reviewed some two hundred of my patches to the {g}.",
            "We met at the {g} meeting of {y} and kept working together.",
            "Release partners of the {g}.",
        ],
        domain: "technology",
        collaboration: "open source",
        tags: &["open source", "code review", "standards", "documentation"],
    },
    GroupKind {
        names: &["Running Club", "Rowing Club", "Football Club"],
        tie: "social",
        roles: &["Runs with the", "Trains with the", "Coaches the juniors of the"],
        contexts: &[
            "Same boat, same lane, same club: the {g} since {y}.",
            "{n} paced my first marathon with the {g}.",
            "Sunday mornings with the {g} for years.",
            "We coach the juniors of the {g}.",
        ],
        domain: "sport",
        collaboration: "coaching",
        tags: &["running", "coaching", "endurance"],
    },
    GroupKind {
        names: &["Makerspace", "Repair Café", "Bike Kitchen"],
        tie: "civic",
        roles: &["Solders at the", "Opens the", "Fixes things at the"],
        contexts: &[
            "We keep the laser cutter of the {g} alive.",
            "{n} taught me welding at the {g} in {y}.",
            "Saturday crew of the {g} since {y}.",
            "Wrote the safety course of the {g} together.",
        ],
        domain: "technology",
        collaboration: "volunteering",
        tags: &["repair", "electronics", "workshop"],
    },
    GroupKind {
        names: &["Law Clinic", "Tenants' Union", "Credit Union"],
        tie: "civic",
        roles: &["Advises at the", "Organizes with the", "Counsel to the"],
        contexts: &[
            "Advised at the {g} together since {y}.",
            "{n} and I won the {y} case of the {g}.",
            "Organizers of the {g}; hundreds of doors knocked on together.",
            "We answer the phone line of the {g} in turns.",
        ],
        domain: "law",
        collaboration: "advisory",
        tags: &["advice", "organizing", "housing rights"],
    },
];

/// Contexts of ties that no group explains.
pub(super) const OLD_FRIENDS: &[&str] = &[
    "Flatmates for three years, friends ever since.",
    "We met on a night train in {y} and never lost touch.",
    "Went to school together; {n} knows all my bad haircuts.",
    "Neighbours before one of us moved away.",
    "{n} introduced me to half of the people I know.",
    "Travelled together in {y}.",
    "Friends of a friend who stayed for dinner.",
    "Old colleagues from a company that no longer exists.",
];

/// Contexts of ties in a family.
pub(super) const FAMILY: &[&str] = &[
    "Cousins; our mothers call each other daily.",
    "Siblings.",
    "{n} is my aunt's youngest.",
    "Family, by marriage and by choice.",
    "We look after the same grandmother.",
];

/// What attesters in favour write.
pub(super) const EVIDENCE_FOR: &[&str] = &[
    "I have worked with both of them for years.",
    "I was there when they started, and saw it last month.",
    "They organized the spring meeting together; I took the minutes.",
    "Shared a table with both of them at least once a week.",
    "I introduced them to each other.",
    "I would put it even higher.",
    "Seen in the shift plans and in daily life.",
    "Both have told me the same story independently.",
    "",
];

/// What attesters against write.
pub(super) const EVIDENCE_AGAINST: &[&str] = &[
    "As far as I know they have not spoken for a long while.",
    "They were in the same building, hardly more.",
    "Sounds stronger than what I have seen.",
    "One project together, years ago.",
    "",
];

/// What someone writes who refuses a relationship.
pub(super) const REFUSALS: &[&str] = &[
    "I do not know this person.",
    "We met once. Please do not use my name.",
    "This is not how I see it, and I have not agreed to it.",
];

/// Messages of introduction requests.
pub(super) const INTRO_MESSAGES: &[&str] = &[
    "We are starting something similar and would love half an hour of advice.",
    "I am moving to town in spring and look for a group like this.",
    "Could you put us in touch? It is about the summer programme.",
    "I read about the project and would like to help.",
];
