//! A request head, parsed once. Values of headers are bytes: a byte that is not UTF-8 costs no more than
//! itself.

use std::borrow::Cow;

use super::Refusal;

const NO_VERSION: Refusal = Refusal::bad("a request line reads: GET /path HTTP/1.1");
const BAD_METHOD: Refusal = Refusal::bad("the request line begins with a method");
const BAD_TARGET: Refusal = Refusal::bad("the request target contains control characters");
const NOT_UTF8: Refusal = Refusal::bad("the request line is not UTF-8");
const NO_END: Refusal = Refusal::bad("the head does not end in an empty line");
const FOLDED: Refusal = Refusal::bad("a header line begins with a blank");
const NO_COLON: Refusal = Refusal::bad("a header line reads: Name: value");
const BAD_NAME: Refusal =
    Refusal::bad("a header's name is a word, without a blank before the colon");
const BAD_VALUE: Refusal = Refusal::bad("a header's value contains control characters");

/// What a browser sends fits without asking for memory twice.
const HEADERS_USUAL: usize = 16;

/// The version that a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or a later 1.x, which is to be treated as this one (RFC 9110 §2.5).
    Http11,
}

/// A request head whose lines all keep the rules.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    method: &'a str,
    target: &'a str,
    path: Cow<'a, str>,
    query: Option<&'a str>,
    version: Version,
    headers: Vec<(&'a str, &'a [u8])>,
}

/// Parses a head of the length that [`HeadScanner`](super::HeadScanner) found.
///
/// # Errors
///
/// 400 with the rule that is broken.
///
/// ```
/// let head = tagcast::http::parse(b"GET /web?tags={\"a\": 1} HTTP/1.1\r\nHost: h \r\n\r\n")?;
/// assert_eq!((head.path(), head.query()), ("/web", Some("tags={\"a\": 1}")));
/// assert_eq!(head.header("host"), Some(&b"h"[..]));
/// # Ok::<(), tagcast::http::Refusal>(())
/// ```
pub fn parse(head: &[u8]) -> Result<RequestHead<'_>, Refusal> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n').map(line);
    let request = lines.next().flatten().ok_or(NO_END)?;
    let (method, target, version) = request_line(request)?;
    let mut headers = Vec::with_capacity(HEADERS_USUAL);
    for line in lines {
        match line.ok_or(NO_END)? {
            b"" => {
                let (path, query) = path_and_query(target);
                return Ok(RequestHead { method, target, path, query, version, headers });
            }
            line => headers.push(header_line(line)?),
        }
    }
    Err(NO_END)
}

/// A line without its end; `None` when it has none.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.strip_suffix(b"\n")?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Cut at the first blank and at the last ` HTTP/`: PHP clients send `{ } " [ ] |` and even blanks
/// unescaped in their query, which URI parsers refuse.
fn request_line(line: &[u8]) -> Result<(&str, &str, Version), Refusal> {
    let line = std::str::from_utf8(line).map_err(|_| NOT_UTF8)?;
    let (method, rest) = line.split_once(' ').ok_or(NO_VERSION)?;
    let (target, version) = rest.rsplit_once(" HTTP/").ok_or(NO_VERSION)?;
    if !is_token(method.as_bytes()) {
        return Err(BAD_METHOD);
    }
    if target.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(BAD_TARGET);
    }
    let version = match version.as_bytes() {
        b"1.0" => Version::Http10,
        [b'1', b'.', b'1'..=b'9'] => Version::Http11,
        _ => return Err(NO_VERSION),
    };
    Ok((method, target, version))
}

/// RFC 9112 §5: folded lines and blanks before the colon are refused, as servers must.
fn header_line(line: &[u8]) -> Result<(&str, &[u8]), Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(FOLDED);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(NO_COLON)?;
    let (name, value) = line.split_at(colon);
    if !is_token(name) {
        return Err(BAD_NAME);
    }
    // All of it is looked at without a branch for each byte: sixteen go in one step.
    let is_bad = |byte: &u8| byte.is_ascii_control() & (*byte != b'\t');
    if value.iter().fold(false, |bad, byte| bad | is_bad(byte)) {
        return Err(BAD_VALUE);
    }
    let name = std::str::from_utf8(name).map_err(|_| BAD_NAME)?;
    // Of white space only blanks and tabs have come so far.
    Ok((name, value.strip_prefix(b":").unwrap_or(value).trim_ascii()))
}

/// RFC 9112 §3.2: `/path?query`, or the same after a scheme and an authority.
fn path_and_query(target: &str) -> (Cow<'_, str>, Option<&str>) {
    let (before, query) = match target.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (target, None),
    };
    if before.starts_with('/') {
        return (single_slashes(before), query);
    }
    match before.split_once("://") {
        Some((_, rest)) => {
            let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
            (single_slashes(path), query)
        }
        None => (Cow::Borrowed(""), query),
    }
}

fn single_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut single = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !single.ends_with('/') {
            single.push(letter);
        }
    }
    Cow::Owned(single)
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte = |byte: &u8| TOKEN_BYTES.get(usize::from(*byte)) == Some(&true);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// Which bytes a token may have: one look for each, where comparing takes six.
const TOKEN_BYTES: [bool; 256] = token_bytes();

#[expect(clippy::indexing_slicing, reason = "a byte has a place among 256, or this does not build")]
const fn token_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [first, rest @ ..] = others {
        table[*first as usize] = true;
        others = rest;
    }
    table
}

impl<'a> RequestHead<'a> {
    /// The method, in the case it was sent.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// The request target as it was sent.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The target without its query; nothing is decoded, and slashes in a row are one, since proxies
    /// that join two paths double them. Empty for a target that names no path (`*`, `host:443`).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the target's first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The first value of a header, without blanks around it; the name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The same as text: each byte sequence that is not UTF-8 reads as U+FFFD.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.header(name).map(String::from_utf8_lossy)
    }

    /// All values of a header, in order.
    pub fn headers(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The parts of a header that is a comma-separated list, over all lines that have it.
    pub fn tokens(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    /// The same with empty parts, for lists in which each place counts.
    pub fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.headers(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    }

    /// All headers with their names, in the case they were sent.
    pub fn all_headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().copied()
    }

    /// The names of all headers, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.headers.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests;
