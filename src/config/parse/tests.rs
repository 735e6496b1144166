//! Tests of valid and invalid values.

use super::*;
use proptest::prelude::*;

const WAIT: Bounds<Duration> = Bounds::new(Duration::from_millis(100), Duration::from_secs(60));
const PING: Bounds<Duration> = Bounds::or_off(Duration::from_millis(100), Duration::from_secs(60));
const BYTES: Bounds<Size> = Bounds::new(Size(1024), Size(64 << 20));
const COUNT: Bounds<usize> = Bounds::new(1, 256);

#[test]
fn durations_have_units_and_bare_numbers_are_seconds() {
    for (text, millis) in [
        ("5s", 5000),
        ("1500ms", 1500),
        ("5", 5000),
        ("5 S", 5000),
        (" 100MS ", 100),
        ("007", 7000),
    ] {
        assert_eq!(duration(text, &WAIT), Ok(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(duration("0", &PING), Ok(Duration::ZERO));
    for (text, what) in [
        ("", "is not a valid number"),
        ("s", "is not a valid number"),
        ("5m", "is not a valid number"),
        ("0.5s", "is not a valid number"),
        ("+5", "is not a valid number"),
        ("٣", "is not a valid number"),
        ("-5s", "is negative"),
        ("61", "is out of range"),
        ("0", "is out of range"),
        ("99ms", "is out of range"),
        ("18446744073709551615ms", "is out of range"),
        ("18446744073709551616", "is too large"),
    ] {
        let fault = duration(text, &WAIT).unwrap_err();
        assert_eq!(fault.what, what, "{text}");
        assert!(fault.right.starts_with("use 100ms to 60s, like `5s`"), "{}", fault.right);
    }
    assert!(duration("1ms", &PING).unwrap_err().right.starts_with("use 0 (off) or 100ms to 60s"));
}

#[test]
fn sizes_are_bytes_or_powers_of_1024() {
    for (text, bytes) in [("1024", 1024), ("64K", 65536), ("5m", 5 << 20), ("5 M", 5 << 20)] {
        assert_eq!(size(text, &BYTES), Ok(bytes), "{text}");
    }
    for (text, what) in [
        ("64KB", "is not a valid number"),
        ("M", "is not a valid number"),
        ("-1", "is negative"),
        ("1023", "is out of range"),
        ("65M", "is out of range"),
        ("18446744073709551615", "is out of range"),
        ("18446744073709551615K", "is too large"),
        ("99999999999999999999", "is too large"),
    ] {
        let fault = size(text, &BYTES).unwrap_err();
        assert_eq!(fault.what, what, "{text}");
        assert!(fault.right.starts_with("use 1K to 64M"), "{}", fault.right);
    }
}

#[test]
fn counts_are_whole_numbers() {
    assert_eq!(count(" 256 ", &COUNT), Ok(256));
    for text in ["0", "257", "-1", "1.0", "", "one", "99999999999999999999"] {
        assert_eq!(count(text, &COUNT).unwrap_err().right, "use 1 to 256", "{text}");
    }
}

#[test]
fn switches_accept_the_values_of_all_versions() {
    for text in ["on", "TRUE", "Yes", "1"] {
        assert_eq!(switch(text), Ok(true), "{text}");
    }
    for text in ["off", "False", "NO", "none", "0"] {
        assert_eq!(switch(text), Ok(false), "{text}");
    }
    for text in ["", "2", "ja", "onn"] {
        assert!(switch(text).is_err(), "{text}");
    }
}

#[test]
fn a_list_has_no_empty_items() {
    assert_eq!(list(" a , b,,c ,").collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(list(" , ").count(), 0);
}

#[test]
fn a_key_is_64_hexadecimal_characters_and_never_repeated() {
    let text = "00ff0A".to_owned() + &"7f".repeat(29);
    assert_eq!(key(&text).unwrap()[..4], [0, 255, 10, 127]);
    for text in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(63), &"0".repeat(66)] {
        let fault = key(text).unwrap_err();
        assert_eq!(fault.what, "the key is not 64 hexadecimal characters");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s)[-+0-9.kKmMgGsS ]{0,24}|.{0,40}") {
        let _verdicts = (duration(&text, &WAIT), size(&text, &BYTES), count(&text, &COUNT));
        let _verdicts = (switch(&text), key(&text), list(&text).count(), is_absent(&text));
    }

    #[test]
    fn what_is_written_is_read(bytes in 1024_usize..=64 << 20, millis in 100_u64..=60_000) {
        prop_assert_eq!(size(&Size(bytes).text(), &BYTES), Ok(bytes));
        let wait = Duration::from_millis(millis);
        prop_assert_eq!(duration(&wait.text(), &WAIT), Ok(wait));
    }
}
