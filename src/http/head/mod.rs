//! Parser of a request head. Header values are bytes, so a byte that is not UTF-8 invalidates
//! nothing else.

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

/// Initial capacity. The headers of a browser fit without a second allocation.
const HEADERS_USUAL: usize = 16;

/// HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or a later 1.x, which is treated as 1.1 (RFC 9110 §2.5).
    Http11,
}

/// Request head whose lines are all valid.
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
/// 400 with the violated rule.
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

/// Strips the line ending. `None` if the line has none.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.strip_suffix(b"\n")?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Splits the request line at the first space and at the last ` HTTP/`. PHP clients send
/// `{ } " [ ] |` and even spaces unescaped in the query, which URI parsers refuse.
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

/// Parses a header line. RFC 9112 §5: servers must refuse folded lines and blanks before the colon.
fn header_line(line: &[u8]) -> Result<(&str, &[u8]), Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(FOLDED);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(NO_COLON)?;
    let (name, value) = line.split_at(colon);
    if !is_token(name) {
        return Err(BAD_NAME);
    }
    // The loop has no branch per byte, so the compiler checks sixteen bytes per step.
    let is_bad = |byte: &u8| byte.is_ascii_control() & (*byte != b'\t');
    if value.iter().fold(false, |bad, byte| bad | is_bad(byte)) {
        return Err(BAD_VALUE);
    }
    let name = std::str::from_utf8(name).map_err(|_| BAD_NAME)?;
    // Spaces and tabs are the only white space left here.
    Ok((name, value.strip_prefix(b":").unwrap_or(value).trim_ascii()))
}

/// Splits the target into path and query. RFC 9112 §3.2: it is `/path?query`, or the same after a
/// scheme and an authority.
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

/// Checks the token syntax of RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte = |byte: &u8| TOKEN_BYTES.get(usize::from(*byte)) == Some(&true);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// Bytes that a token may contain. A table needs one lookup per byte instead of six comparisons.
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
    /// Returns the method in its original case.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the unchanged request target.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// Returns the HTTP version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns the target without its query, not decoded. Consecutive slashes become one, because
    /// proxies that join two paths double them. Empty for a target without a path (`*`,
    /// `host:443`).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the part of the target after its first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Returns the first value of a header without surrounding blanks. Names are case-insensitive.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// Returns the first value of a header as text. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.header(name).map(String::from_utf8_lossy)
    }

    /// Returns all values of a header, in order.
    pub fn headers(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Returns the non-empty items of a comma-separated header, over all of its lines.
    pub fn tokens(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    /// Returns all items of a comma-separated header, including empty ones, over all of its lines.
    pub fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.headers(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    }

    /// Returns all headers. Names have their original case.
    pub fn all_headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().copied()
    }

    /// Returns the names of all headers, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.headers.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests;
