//! Queries of request targets, and tags as JSON: accepted input agrees with a JSON parser and is
//! within the limits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tagcast::http::{Parameter, form_parameter, has_members, has_parameter, parameter};
use tagcast::protocol::tags::{json_of, of_opening, of_request};
use tagcast::types::Tags;
use tagcast::types::limits::{TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX};

/// The text is a query with the parameter `tags`, and also the tags themselves.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in ["tags", "key", "secret"] {
        let value = parameter(text, name);
        assert_eq!(value.as_deref(), naive_parameter(text, name).as_deref());
        assert!(value.is_none() || has_parameter(text, name));
    }
    tags(text);
    members(text);
    if let Some(value) = parameter(text, "tags") {
        tags(&value);
    }
}

/// Checks that tags in single parameters equal the same tags in one JSON object.
fn members(text: &str) {
    let found = form_parameter(text, "tags");
    assert_eq!(found.is_some(), has_parameter(text, "tags") || has_members(text, "tags"));
    let Some(Parameter::Members(members)) = found else { return };
    let value = |it: &Option<Cow<'_, str>>| it.as_ref().map_or(Value::Null, |it| (&**it).into());
    let tree: Map<_, _> = members.iter().map(|(name, it)| (name.clone(), value(it))).collect();
    let (one, other) =
        (of_opening(&json_of(&members)), of_opening(&Value::Object(tree).to_string()));
    assert_eq!(one.as_ref().ok(), other.as_ref().ok());
}

fn tags(text: &str) {
    let opening = of_opening(text);
    match (&opening, of_request(text)) {
        (Ok(one), Ok(other)) => assert_eq!(*one, other),
        (Err(one), Err(other)) => assert!(!one.is_empty() && !other.is_empty()),
        (one, other) => panic!("{one:?}, but {other:?}"),
    }
    let naive = naive_tags(text);
    match opening {
        Ok(tags) => {
            admitted(&tags);
            // Half of a surrogate pair becomes U+FFFD; the other reader rejects it.
            assert!(Some(pairs(&tags)) == naive || has_half_of_a_pair(text), "{tags:?}");
        }
        Err(why) => assert_eq!(naive, None, "{why}"),
    }
}

fn has_half_of_a_pair(text: &str) -> bool {
    serde_json::from_str::<Box<RawValue>>(text).is_ok()
        && serde_json::from_str::<Value>(text).is_err()
}

fn admitted(tags: &Tags) {
    assert!(tags.len() <= TAGS_MAX);
    assert!(tags.iter().is_sorted_by(|one, next| one.name() < next.name()));
    for tag in tags {
        assert!((1..=TAG_NAME_BYTES_MAX).contains(&tag.name().len()));
        assert!(tag.value().len() <= TAG_VALUE_BYTES_MAX);
    }
    let written: Map<String, Value> =
        tags.iter().map(|tag| (tag.name().to_owned(), tag.value().into())).collect();
    assert_eq!(of_request(&Value::Object(written).to_string()).as_ref(), Ok(tags));
}

fn pairs(tags: &Tags) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.name().to_owned(), tag.value().to_owned())).collect()
}

/// Parses tags with a JSON tree, as PHP does. Of duplicate names the last one counts.
pub fn naive_tags(text: &str) -> Option<BTreeMap<String, String>> {
    let members = match serde_json::from_str(text).ok()? {
        Value::Object(members) => members,
        Value::Array(list) if list.is_empty() => Map::new(),
        _ => return None,
    };
    let tag = |(name, value): (String, Value)| {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.as_i64()?.to_string(),
            _ => return None,
        };
        let is_number = name.parse::<i64>().is_ok_and(|number| number.to_string() == name);
        let fits = name.len() <= TAG_NAME_BYTES_MAX && value.len() <= TAG_VALUE_BYTES_MAX;
        (!is_number && !name.is_empty() && fits).then_some((name, value))
    };
    let tags: BTreeMap<_, _> = members.into_iter().map(tag).collect::<Option<_>>()?;
    (tags.len() <= TAGS_MAX).then_some(tags)
}

fn naive_parameter(query: &str, name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.split('&') {
        let mut parts = pair.splitn(2, '=');
        let known = naive_decoded(parts.next().unwrap_or_default());
        if known.as_deref() == Some(name) {
            found = Some(naive_decoded(parts.next().unwrap_or_default()));
        }
    }
    found.flatten()
}

fn naive_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (bytes[at], hex) {
            (b'%', Some(hex)) => {
                out.push(u8::from_str_radix(hex, 16).expect("two digits"));
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}
