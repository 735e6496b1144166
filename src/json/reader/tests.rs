//! The reader of JSON agrees with serde_json, and finds each fault.

use super::*;
use proptest::prelude::*;
use serde::de::IgnoredAny;

#[test]
fn member_names_are_compared_after_decoding() {
    let is = |raw: &str, name: &str| {
        let mut is = None;
        let read = |it: MemberName<'_>, _: &str| {
            is = Some(it.is(name));
            Ok(())
        };
        members(&format!("{{{raw}:0}}"), read).unwrap();
        is.unwrap()
    };
    for raw in [r#""ab""#, r#""a\u0062""#, r#""\u0061\u0062""#] {
        assert!(is(raw, "ab"), "{raw}");
    }
    for raw in [r#""abc""#, r#""a\u0063""#, r#""""#, r#""\\u0061\u0062""#] {
        assert!(!is(raw, "ab"), "{raw}");
    }
    assert!(is(r#""\\""#, "\\") && !is(r#""\"""#, "\\\""));
    assert!(is(r#""\u00e9""#, "é") && is(r#""\ud83d\ude00""#, "\u{1f600}"));
}

#[test]
fn only_an_object_has_members() {
    for text in ["", "1", "[]", "{", "{}}", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{,}"] {
        assert_eq!(members(text, |_, _| Ok(())), Err(NotJson), "{text}");
    }
    let mut values = Vec::new();
    let read = members(" { \"a\" : { } , \"b\":-0.5e+1} \n", |_, value| {
        values.push(value);
        Ok(())
    });
    assert_eq!((read, values), (Ok(()), vec!["{ }", "-0.5e+1"]));
    let mut count = 0;
    let read = members("{\"a\":1,\"b\":2,\"c\":3}", |name, _| {
        count += 1;
        if name.is("b") { Err(NotJson) } else { Ok(()) }
    });
    assert_eq!((read, count), (Err(NotJson), 2), "nothing follows one that is refused");
}

#[test]
fn a_fault_in_any_place_of_a_long_text_is_found() {
    for length in 0..70 {
        for place in 0..length {
            for (bad, is_json) in [("\u{1f}", false), ("\\", false), ("\\n", true), ("é", true)] {
                let text = format!("\"{}{bad}é{}\"", "a".repeat(place), "b".repeat(length - place));
                let raw = value(&text);
                assert_eq!(raw, if is_json { Ok(&*text) } else { Err(NotJson) }, "{text}");
            }
        }
    }
}

#[test]
fn names_and_values_are_counted_at_any_depth() {
    for (text, count) in
        [("1", 1), ("[]", 1), ("[1,[2,\"a\"]]", 5), (r#"{"a":{"b":[{}]},"c":0}"#, 8), ("[", 0)]
    {
        assert_eq!(count_values(text).unwrap_or(0), count, "{text}");
    }
}

proptest! {
    /// This reader accepts the same texts as `serde_json` and finds the same members.
    #[test]
    fn it_agrees_with_another_reader(
        text in r#"(?s)( |[\[\]{}]|,|:|"[a-c]{0,3}"|"a":|\{"b":|"[^"]{0,20}"|\\|\\u00e9|-|0|1|\.5|e[+-]?|true|null|fals|e|.){0,12}"#,
    ) {
        let known = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(value(&text).is_ok(), known, "{}", text);
        let mut last = Vec::new();
        let read = members(&text, |name, value| {
            last.push((super::text(name.raw).into_owned(), value));
            Ok(())
        });
        prop_assert_eq!(read.is_ok(), known && text.trim_start().starts_with('{'));
        if read.is_ok() && let Ok(tree) = serde_json::from_str::<serde_json::Map<_, _>>(&text) {
            for (name, tree) in &tree {
                let found = last.iter().rev().find(|it| it.0 == *name).unwrap();
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(found.1).unwrap(), tree);
            }
        }
    }

    #[test]
    fn valid_json_is_read(tree in json(), indent in any::<bool>()) {
        let text = if indent { format!("{tree:#}") } else { tree.to_string() };
        prop_assert_eq!(value(&text), Ok(&*text));
        // A text without its last character is invalid, unless that character was a digit.
        let cut = text.floor_char_boundary(text.len() - 1);
        let part = text.get(..cut).unwrap();
        prop_assert_eq!(value(part).is_ok(), serde_json::from_str::<IgnoredAny>(part).is_ok());
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "(?s).{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec(("(?s).{0,20}", inner), 0..5)
                .prop_map(|it| serde_json::Value::Object(it.into_iter().collect())),
        ]
    })
}
