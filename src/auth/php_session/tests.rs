//! Sessions as PHP writes them, and malformed ones.

use proptest::prelude::*;

use super::*;

fn of(session: &str) -> Option<Flag> {
    flag(session.as_bytes(), "allow")
}

/// Checks a session with the value before the entry `allow`, and one with the value as that entry.
#[track_caller]
fn is_read(value: &str, expected: Flag) {
    assert_eq!(of(&format!("x|{value}allow|b:1;")), Some(Flag::True), "in front: {value}");
    assert_eq!(of(&format!("allow|{value}y|i:1;")), Some(expected), "{value}");
}

#[test]
fn every_kind_of_value_is_read_as_php_casts_it() {
    for yes in [
        "i:1;",
        "i:-7;",
        "i:+3;",
        "d:0.5;",
        "d:-1.5E-10;",
        "d:NAN;",
        "d:-INF;",
        "d:5.;",
        "s:2:\"no\";",
        "s:3:\"0.0\";",
        "s:1:\" \";",
        "s:4:\"a|\";\";",
        "S:1:\"\\31\";",
        "a:1:{i:0;N;}",
        "a:1:{s:1:\"k\";a:0:{}}",
        "O:8:\"stdClass\":0:{}",
        "O:8:\"stdClass\":1:{s:4:\"a\0b|\";b:0;}",
        "C:3:\"Foo\":5:{a|};{}",
        "E:8:\"Suit:One\";",
    ] {
        is_read(yes, Flag::Truthy);
    }
    for no in
        ["N;", "b:0;", "i:0;", "i:-0;", "d:0;", "d:-0.0;", "s:0:\"\";", "s:1:\"0\";", "a:0:{}"]
    {
        is_read(no, Flag::Falsy);
    }
    is_read("S:1:\"\\30\";", Flag::Falsy);
    is_read("b:1;", Flag::True);
}

#[test]
fn what_is_wrong_ends_the_session_and_what_was_before_counts() {
    for bad in [
        "b:2;",
        "b:1",
        "b:;",
        "i:;",
        "i:9223372036854775808;",
        "i:1.0;",
        "d:;",
        "d:1e;",
        "d:inf;",
        "s:3:\"ab\";",
        "s:1:\"ab\";",
        "s:-1:\"\";",
        "s:99999999999999999999:\"\";",
        "s:2:'ab';",
        "S:1:\"\\3\";",
        "a:1:{}",
        "a:-1:{}",
        "a:1:{b:1;N;}",
        "a:1:{i:0;N;};",
        "a:1:{i:0;N;",
        "O:8:\"stdClass\":1:{}",
        "C:3:\"Foo\":9:{a}",
        "R:9;",
        "R:0;",
        "r:;",
        "x:1;",
        "",
    ] {
        let with = format!("allow|b:1;x|{bad}");
        assert_eq!(of(&with), Some(Flag::True), "behind it: {bad}");
        let behind = of(&format!("x|{bad}allow|b:1;"));
        assert_eq!(behind, None, "in front of it: {bad}");
    }
}

#[test]
fn the_last_entry_of_a_name_wins_and_names_are_case_sensitive() {
    assert_eq!(of("allow|b:0;allow|b:1;"), Some(Flag::True));
    assert_eq!(of("allow|b:1;allow|b:0;"), Some(Flag::Falsy));
    assert_eq!(of("Allow|b:1;allow |b:1;"), None);
    assert_eq!(of(""), None);
    assert_eq!(of("allow"), None);
    assert_eq!(of("x|s:13:\"allow|b:1;abc\";"), None, "a text is no entry");
}

#[test]
fn a_reference_has_the_value_that_it_refers_to() {
    // Value numbers: 1 is the string, 2 the array, 3 its member, 4 null.
    let session = "t|s:1:\"x\";a|a:1:{i:0;b:1;}n|N;";
    for (number, expected) in
        [(1, Flag::Truthy), (2, Flag::Truthy), (3, Flag::True), (4, Flag::Falsy)]
    {
        assert_eq!(of(&format!("{session}allow|R:{number};")), Some(expected), "{number}");
        assert_eq!(of(&format!("{session}allow|r:{number};")), Some(expected), "{number}");
    }
    assert_eq!(of(&format!("{session}allow|R:5;")), None);
    // `r` gets a number of its own, `R` does not.
    assert_eq!(of("x|b:1;y|r:1;allow|R:2;"), Some(Flag::True));
    assert_eq!(of("x|b:1;y|R:1;allow|R:2;"), None);
    // The number of values in an object with its own serialization is unknown.
    assert_eq!(of("x|C:3:\"Foo\":0:{}y|b:1;allow|R:2;"), Some(Flag::Falsy));
}

#[test]
fn a_session_is_as_deep_as_it_may_be_and_not_deeper() {
    let nested = |depth: usize| {
        let (open, close) = ("a:1:{i:0;".repeat(depth), "}".repeat(depth));
        format!("x|{open}N;{close}allow|b:1;")
    };
    assert_eq!(of(&nested(DEPTH_MAX)), Some(Flag::True));
    assert_eq!(of(&nested(DEPTH_MAX + 1)), None);
    assert_eq!(of(&nested(100_000)), None);
}

#[test]
fn a_count_beyond_the_data_allocates_nothing() {
    assert_eq!(of("x|a:18446744073709551615:{}allow|b:1;"), None);
    assert_eq!(of("x|S:18446744073709551615:\"\";allow|b:1;"), None);
}

#[test]
fn strict_accepts_only_true() {
    let yes = |truth| [Flag::True, Flag::Truthy, Flag::Falsy].map(|flag| flag.is_yes(truth));
    assert_eq!(yes(Truth::Php), [true, true, false]);
    assert_eq!(yes(Truth::Strict), [true, false, false]);
}

/// Generates a serialized PHP value and its truth.
fn value() -> impl Strategy<Value = (String, Flag)> {
    let leaf = prop_oneof![
        Just(("N;".to_owned(), Flag::Falsy)),
        any::<bool>().prop_map(|it| {
            (format!("b:{};", u8::from(it)), if it { Flag::True } else { Flag::Falsy })
        }),
        any::<i64>().prop_map(|it| (format!("i:{it};"), number_flag(it))),
        any::<f64>()
            .prop_filter("PHP writes these as words", |it| it.is_finite())
            .prop_map(|it| { (format!("d:{it:?};"), number_flag(it)) }),
        ".{0,9}".prop_map(|it: String| {
            (format!("s:{}:\"{it}\";", it.len()), text_flag(it.as_bytes()))
        }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let members = prop::collection::vec((any::<i32>(), inner), 0..4);
        (members, any::<bool>()).prop_map(|(members, is_object)| {
            let count = members.len();
            let inside: String =
                members.iter().map(|(name, (value, _))| format!("i:{name};{value}")).collect();
            if is_object {
                (format!("O:1:\"X\":{count}:{{{inside}}}"), Flag::Truthy)
            } else {
                (format!("a:{count}:{{{inside}}}"), number_flag(count))
            }
        })
    })
}

proptest! {
    #[test]
    fn whatever_php_writes_is_read((before, _) in value(), (text, expected) in value()) {
        let session = format!("x|{before}allow|{text}y|{before}");
        prop_assert_eq!(of(&session), Some(expected));
    }

    #[test]
    fn a_truncated_session_keeps_the_values_before_the_cut(
        (before, _) in value(), (text, expected) in value(), cut in any::<prop::sample::Index>()
    ) {
        let session = format!("x|{before}allow|{text}");
        let cut = cut.index(session.len());
        prop_assert_eq!(flag(&session.as_bytes()[..cut], "allow"), None);
        prop_assert_eq!(of(&session), Some(expected));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = flag(&bytes, "allow");
        let with = [b"allow|b:1;".as_slice(), &bytes].concat();
        prop_assert!(flag(&with, "allow").is_some());
    }
}
