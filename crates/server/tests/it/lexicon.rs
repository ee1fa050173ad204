//! Reads the lexicons of the repository, and checks values against them: strictly, for what we
//! write ourselves has no field that its lexicon does not declare.

use rhiz_domain::{
    AtUri, Did, Handle,
    syntax::{is_cid, parse_datetime},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// Every lexicon, by NSID.
pub(crate) struct Lexicons(BTreeMap<String, Value>);

impl Lexicons {
    pub(crate) fn read() -> Self {
        let mut all = BTreeMap::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lexicons");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "json") {
                    let text = fs::read_to_string(&path).unwrap();
                    let lexicon: Value = serde_json::from_str(&text).unwrap();
                    all.insert(lexicon["id"].as_str().unwrap().to_owned(), lexicon);
                }
            }
        }
        assert!(all.len() > 10, "the lexicons are not at {}", root.display());
        Self(all)
    }

    /// The NSIDs and definitions of a kind: `query` or `record`.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter_map(move |(nsid, lexicon)| {
            let main = &lexicon["defs"]["main"];
            (main["type"] == kind).then_some((nsid.as_str(), main))
        })
    }

    pub(crate) fn main(&self, nsid: &str) -> &Value {
        let lexicon = self.0.get(nsid).unwrap_or_else(|| panic!("there is no lexicon {nsid}"));
        &lexicon["defs"]["main"]
    }

    /// What a reference means, seen from a lexicon; and in which lexicon that is.
    pub(crate) fn resolve<'a>(&'a self, from: &'a str, reference: &'a str) -> (&'a str, &'a Value) {
        let (nsid, name) = reference.split_once('#').unwrap_or((reference, "main"));
        let nsid = if nsid.is_empty() { from } else { nsid };
        let found = &self.0.get(nsid).unwrap_or_else(|| panic!("no {reference}"))["defs"][name];
        assert!(found.is_object(), "there is no {reference}, named in {from}");
        (nsid, found)
    }

    /// What is wrong with the answer of a query.
    pub(crate) fn answer(&self, nsid: &str, answer: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        self.check(nsid, &self.main(nsid)["output"]["schema"], answer, "answer", &mut wrong);
        wrong
    }

    /// What is wrong with a record.
    pub(crate) fn record(&self, nsid: &str, record: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        self.check(nsid, &self.main(nsid)["record"], record, "record", &mut wrong);
        wrong
    }

    fn check(
        &self,
        nsid: &str,
        schema: &Value,
        value: &Value,
        place: &str,
        wrong: &mut Vec<String>,
    ) {
        let mut no = |what: &str| wrong.push(format!("{place}: {what}: {value}"));
        match schema["type"].as_str().unwrap() {
            "ref" => {
                let (nsid, schema) = self.resolve(nsid, schema["ref"].as_str().unwrap());
                self.check(nsid, schema, value, place, wrong);
            }
            "boolean" if !value.is_boolean() => no("no boolean"),
            "boolean" => {}
            "integer" => match value.as_i64() {
                None => no("no integer"),
                Some(n) => {
                    if schema["minimum"].as_i64().is_some_and(|least| n < least)
                        || schema["maximum"].as_i64().is_some_and(|most| n > most)
                    {
                        no("out of range");
                    }
                }
            },
            "string" => match value.as_str() {
                None => no("no string"),
                Some(text) => {
                    if let Some(what) = text_problem(schema, text) {
                        no(&what);
                    }
                }
            },
            "array" => match value.as_array() {
                None => no("no array"),
                Some(items) => {
                    let count = items.len() as u64;
                    if schema["minLength"].as_u64().is_some_and(|least| count < least)
                        || schema["maxLength"].as_u64().is_some_and(|most| count > most)
                    {
                        no("wrong number of items");
                    }
                    for (i, item) in items.iter().enumerate() {
                        self.check(nsid, &schema["items"], item, &format!("{place}[{i}]"), wrong);
                    }
                }
            },
            "object" => self.object(nsid, schema, value, place, wrong),
            "unknown" => match value.get("$type").and_then(Value::as_str) {
                _ if !value.is_object() => no("no object"),
                None => no("a record without $type"),
                Some(kind) if self.0.contains_key(kind) => {
                    wrong.extend(self.record(kind, value).iter().map(|w| format!("{place}.{w}")));
                }
                Some(_) => no("a record of a collection that no lexicon describes"),
            },
            other => panic!("{nsid} uses the type {other}, which this checker does not know"),
        }
    }

    fn object(
        &self,
        nsid: &str,
        schema: &Value,
        value: &Value,
        place: &str,
        wrong: &mut Vec<String>,
    ) {
        let Some(map) = value.as_object() else {
            wrong.push(format!("{place}: no object: {value}"));
            return;
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            if !map.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{place}: {name} is missing"));
            }
        }
        for (name, value) in map.iter().filter(|(name, _)| *name != "$type") {
            match schema["properties"].get(name) {
                None => wrong.push(format!("{place}: {name} is not declared")),
                Some(schema) => {
                    self.check(nsid, schema, value, &format!("{place}.{name}"), wrong);
                }
            }
        }
    }
}

fn text_problem(schema: &Value, text: &str) -> Option<String> {
    // Characters for graphemes: there are at least as many, and in the texts of the tests no more.
    let over = |name: &str, n: usize| schema[name].as_u64().is_some_and(|most| n as u64 > most);
    if over("maxLength", text.len()) || over("maxGraphemes", text.chars().count()) {
        return Some("too long".into());
    }
    if schema["minLength"].as_u64().is_some_and(|least| (text.len() as u64) < least) {
        return Some("too short".into());
    }
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.iter().any(|word| word == text)) {
        return Some("none of the words".into());
    }
    let fits = match schema["format"].as_str() {
        None => true,
        Some("did") => Did::parse(text).is_ok(),
        Some("handle") => text == "handle.invalid" || Handle::parse(text).is_ok(),
        Some("at-uri") => AtUri::parse(text).is_ok(),
        Some("cid") => is_cid(text),
        Some("datetime") => parse_datetime(text).is_ok(),
        Some("uri") => text.contains(':'),
        Some(other) => panic!("the checker does not know the format {other}"),
    };
    (!fits).then(|| format!("not a {}", schema["format"]))
}

#[test]
fn the_checker_finds_what_is_wrong() {
    use serde_json::json;
    let lexicons = Lexicons::read();
    const METHOD: &str = "net.rhiz.conviction.getScore";
    let good = json!({
        "uri": "at://did:plc:a/net.rhiz.relationship.record/3jzfcijpj2z2a",
        "conviction": {
            "score": 76, "attestationCount": 1, "verifyCount": 1, "disputeCount": 0,
            "strengthenCount": 0, "weakenCount": 0, "trend": "stable",
        },
    });
    assert_eq!(lexicons.answer(METHOD, &good), [""; 0]);
    for (pointer, value, says) in [
        ("/uri", json!("at://a"), "not a \"at-uri\""),
        ("/conviction/score", json!(101), "out of range"),
        ("/conviction/score", json!(7.5), "no integer"),
        ("/conviction/trend", json!(null), "no string"),
        ("/conviction", json!({}), "\"score\" is missing"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let wrong = lexicons.answer(METHOD, &bad).join("\n");
        assert!(wrong.contains(says), "{pointer}: {wrong:?}");
    }
    let mut bad = good.clone();
    bad["conviction"]["snake_case"] = json!(1);
    assert!(lexicons.answer(METHOD, &bad)[0].contains("snake_case is not declared"));
}
