//! Globs over keys: `*`, `?`, `[a-c]`, `[!a-c]`, `\x`. Matching takes time linear in the key for
//! each `*`, never exponential.

use crate::key;
use rhiz_domain::cache::CacheError;

/// A pattern, sorted by how cheaply it can be checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*`: every key.
    All,
    /// No wildcard: one key.
    Exact(String),
    /// `text*`.
    Prefix(String),
    /// Anything else.
    Glob(Glob),
}

impl Pattern {
    /// Reads a glob.
    ///
    /// # Errors
    /// [`CacheError::Pattern`] when it is empty, too long, holds control characters, or a `[` is
    /// not closed.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        key::check_pattern(text)?;
        let glob = Glob::parse(text)?;
        let literal = |tokens: &[Token]| {
            tokens
                .iter()
                .map(|t| if let Token::One(c) = t { Some(*c) } else { None })
                .collect::<Option<String>>()
        };
        if let [head @ .., Token::Any] = glob.tokens.as_slice() {
            if head.is_empty() {
                return Ok(Self::All);
            }
            if let Some(prefix) = literal(head) {
                return Ok(Self::Prefix(prefix));
            }
        }
        Ok(match literal(&glob.tokens) {
            Some(exact) => Self::Exact(exact),
            None => Self::Glob(glob),
        })
    }

    /// Whether a key matches.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => key == exact,
            Self::Prefix(prefix) => key.starts_with(prefix.as_str()),
            Self::Glob(glob) => glob.matches(key),
        }
    }
}

/// A glob that is neither a text nor a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Token {
    Any,
    AnyOne,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    fn parse(text: &str) -> Result<Self, CacheError> {
        let refuse = |reason| CacheError::Pattern { shown: key::shown(text), reason };
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => {
                    if tokens.last() == Some(&Token::Any) {
                        continue;
                    }
                    Token::Any
                }
                '?' => Token::AnyOne,
                '\\' => Token::One(chars.next().ok_or_else(|| {
                    refuse("ends in a single \\; write \\\\ for the character itself")
                })?),
                '[' => {
                    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let unclosed = || refuse("a [ is not closed; write \\[ for the character");
                        let from = match chars.next().ok_or_else(unclosed)? {
                            ']' if !ranges.is_empty() => break,
                            '\\' => chars.next().ok_or_else(unclosed)?,
                            c => c,
                        };
                        let mut ahead = chars.clone();
                        if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
                            chars.next();
                            ranges.push((from, chars.next().ok_or_else(unclosed)?));
                        } else {
                            ranges.push((from, from));
                        }
                    }
                    Token::Class { negated, ranges }
                }
                c => Token::One(c),
            });
        }
        Ok(Self { tokens })
    }

    /// Greedy with one point of return: the last `*`.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let mut tokens = self.tokens.as_slice();
        let mut rest = key.chars();
        let mut retry: Option<(&[Token], std::str::Chars<'_>)> = None;
        loop {
            if let Some((Token::Any, after)) = tokens.split_first() {
                tokens = after;
                retry = Some((after, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (tokens.split_first(), ahead.next()) {
                (None, None) => return true,
                (Some((token, after)), Some(c)) if token.takes(c) => {
                    tokens = after;
                    rest = ahead;
                }
                _ => {
                    // The last `*` takes one character more.
                    let Some((after, mut from)) = retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    tokens = after;
                    rest = from.clone();
                    retry = Some((after, from));
                }
            }
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::AnyOne => true,
            Self::One(one) => *one == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_globs_do() {
        let cases = [
            ("trust:*", "trust:score:a", true),
            ("trust:*", "trus", false),
            ("*", "anything", true),
            ("*:score:*", "trust:score:x", true),
            ("*:score:*", "trust:scor:x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a[b-d]e", "ace", true),
            ("a[!b-d]e", "ace", false),
            ("a[]]e", "a]e", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("*a*b", "xxaxxbxb", true),
            ("*a*b", "xxaxxbxc", false),
        ];
        for (pattern, key, expected) in cases {
            assert_eq!(
                Pattern::parse(pattern).expect(pattern).matches(key),
                expected,
                "{pattern} {key}"
            );
        }
        assert!(matches!(Pattern::parse("trust:*"), Ok(Pattern::Prefix(p)) if p == "trust:"));
        assert!(matches!(Pattern::parse("a\\*"), Ok(Pattern::Exact(p)) if p == "a*"));
        assert!(Pattern::parse("a[b").is_err());
        assert!(Pattern::parse("a\\").is_err());
    }

    #[test]
    fn a_hostile_pattern_does_not_explode() {
        let pattern = Pattern::parse(&format!("{}b", "a*".repeat(200))).expect("pattern");
        assert!(!pattern.matches(&"a".repeat(500)));
    }
}
