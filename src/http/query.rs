//! Query of a request target, form-decoded as in PHP: `+` is a space, `%41` a byte.

use std::borrow::Cow;

/// Returns the value of a parameter. The last of several values counts, as in PHP. `None` if the
/// parameter is missing or its value is not UTF-8.
#[must_use]
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rev().find(|(known, _)| decoded(known).as_deref() == Some(name))?.1;
    decoded(value)
}

/// Returns true if the query contains the parameter, with any value.
#[must_use]
pub fn has_parameter(query: &str, name: &str) -> bool {
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    names.into_iter().any(|known| decoded(known).as_deref() == Some(name))
}

/// Query parameter in one of the forms that PHP supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter<'q> {
    /// `name=value`. `None` if the value is not UTF-8.
    Text(Option<Cow<'q, str>>),
    /// `name[member]=value`, in order, including duplicates. `None` for a value that is a nested
    /// array or not UTF-8.
    Members(Vec<(String, Option<Cow<'q, str>>)>),
    /// A bracket is not closed.
    Broken,
}

/// Returns a parameter as PHP parses it. If both `name=` and `name[…]=` occur, the later form
/// replaces the earlier one.
#[must_use]
pub fn form_parameter<'q>(query: &'q str, name: &str) -> Option<Parameter<'q>> {
    let mut found = None;
    for pair in query.split('&') {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = unescaped(known.as_bytes(), b' ');
        let Some(rest) = known.strip_prefix(name.as_bytes()) else { continue };
        match rest {
            [] => found = Some(Parameter::Text(decoded(value))),
            [b'[', rest @ ..] => {
                let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                    return Some(Parameter::Broken);
                };
                let (member, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
                let is_text = !behind.starts_with(b"][");
                let mut members = match found.take() {
                    Some(Parameter::Members(members)) => members,
                    _ => Vec::new(),
                };
                let member = match member {
                    b"" => members.len().to_string(),
                    _ => String::from_utf8_lossy(member).into_owned(),
                };
                members.push((member, decoded(value).filter(|_| is_text)));
                found = Some(Parameter::Members(members));
            }
            _ => {}
        }
    }
    found
}

/// Returns true if PHP would parse the parameter as an array: `tags[language]=FR`, `key[]=x`.
#[must_use]
pub fn has_members(query: &str, name: &str) -> bool {
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let is_member = |known: &str| {
        let known = unescaped(known.as_bytes(), b' ');
        known.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"["))
    };
    names.into_iter().any(is_member)
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    match unescaped(text.as_bytes(), b' ') {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Decodes a cookie value as PHP does: `%41` is a byte, `+` is unchanged.
#[must_use]
pub fn cookie_value(value: &[u8]) -> Cow<'_, [u8]> {
    unescaped(value, b'+')
}

/// Decodes `%41` to a byte and `+` to `plus`. A `%` without two hexadecimal digits is unchanged.
fn unescaped(text: &[u8], plus: u8) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| b"+%".contains(byte)) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'+', _) => bytes.push(plus),
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = behind;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    Cow::Owned(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_decoded_as_forms_are() {
        let query = "a=1&tags=%7B%22n%22:%22x+y%22}&e&b=%zz%4&a=2&c=a=b";
        assert_eq!(parameter(query, "tags").as_deref(), Some(r#"{"n":"x y"}"#));
        assert_eq!(parameter(query, "a").as_deref(), Some("2"));
        assert_eq!(parameter(query, "b").as_deref(), Some("%zz%4"));
        assert_eq!(parameter(query, "c").as_deref(), Some("a=b"));
        assert_eq!(parameter(query, "e").as_deref(), Some(""));
        assert_eq!(parameter(query, "d"), None);
        assert_eq!(parameter("x=%ff", "x"), None);
        assert!(has_parameter("x=%ff&k%65y", "x") && has_parameter("k%65y=", "key"));
        assert!(!has_parameter("key[]=1", "key"));
        assert!(has_members("a&key%5B%5D=1", "key") && has_members("key[a", "key"));
        assert!(!has_members("keys[]=1&a[key]=2&key=[", "key"));
    }

    #[test]
    fn members_are_read_as_php_reads_them() {
        let members = |query| match form_parameter(query, "tags") {
            Some(Parameter::Members(members)) => members
                .into_iter()
                .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("?")))
                .collect::<Vec<_>>(),
            other => vec![format!("{other:?}")],
        };
        assert_eq!(members("tags[language]=FR"), ["language=FR"]);
        assert_eq!(members("a=b&tags%5Bn%5D=x+y&tags[m]=%C3%A9"), ["n=x y", "m=\u{e9}"]);
        assert_eq!(members("tags[a]=1&tags[a]=2"), ["a=1", "a=2"]);
        assert_eq!(members("tags[]=x&tags[]"), ["0=x", "1="]);
        assert_eq!(members("tags[a][b]=x&tags[c]d=y&tags[e]=%ff"), ["a=?", "c=y", "e=?"]);
        assert_eq!(members("tags={}&tags[a]=1"), ["a=1"]);
        assert_eq!(members("tags[a]=1&tags={}"), [r#"Some(Text(Some("{}")))"#]);
        assert_eq!(members("tags[a=1"), ["Some(Broken)"]);
        assert_eq!(members("tagsy[a]=1&x[tags]=2"), ["None"]);
    }

    #[test]
    fn cookies_are_decoded_once_and_a_plus_is_itself() {
        for (sent, read) in
            [("ab%2Ccd", "ab,cd"), ("a+b", "a+b"), ("%252C", "%2C"), ("%2", "%2"), ("%g1", "%g1")]
        {
            assert_eq!(*cookie_value(sent.as_bytes()), *read.as_bytes(), "{sent}");
        }
        assert_eq!(*cookie_value(b"%ff\xFE"), *b"\xFF\xFE");
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "(?s)([%+&=a0é]|.){0,40}") {
            drop(parameter(&query, "a"));
            let _ = has_parameter(&query, "a");
        }
    }
}
