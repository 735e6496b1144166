//! Request heads: the end of a head does not depend on the segmentation, the decision never panics,
//! and the response has a valid head.

use tagcast::http::{
    HeadScanner, Origins, OtherProtocol, Refusal, RequestHead, RequestKind, SupportedVersions,
    Upgrade, decide, effective_address, is_same_origin, parse, switching_protocols,
};
use tagcast::types::limits::{HEAD_BYTES_MAX, HEAD_LINES_MAX};
use tagcast::types::{IpRange, OriginPattern};

/// Parses the bytes as the first input of an unknown client.
pub fn run(data: &[u8]) {
    // The parser must also handle heads that the scanner rejects.
    drop(parse(data).map(|head| wanted(&head)));
    let found = HeadScanner::default().scan(data);
    if let Some(other) = OtherProtocol::of(data) {
        // No request that would be served looks like another protocol.
        answered(&other.refusal());
        let length = found.as_ref().ok().copied().flatten();
        let head = length.and_then(|length| parse(&data[..length]).ok());
        assert!(head.is_none_or(|head| head.method() == "PROXY"));
    }
    assert_eq!(byte_by_byte(data), found);
    match found {
        Ok(Some(length)) => head(&data[..length]),
        Ok(None) => assert!(data.len() < HEAD_BYTES_MAX),
        Err(refusal) => answered(&refusal),
    }
}

fn byte_by_byte(data: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut scanner = HeadScanner::default();
    let ends = 0..=data.len().min(HEAD_BYTES_MAX);
    let mut found = ends.map(|end| scanner.scan(&data[..end]));
    found.find(|found| *found != Ok(None)).unwrap_or(Ok(None))
}

fn head(bytes: &[u8]) {
    assert!(bytes.len() <= HEAD_BYTES_MAX && bytes.ends_with(b"\n"));
    match parse(bytes) {
        Ok(head) => wanted(&head),
        Err(refusal) => answered(&refusal),
    }
}

fn wanted(head: &RequestHead<'_>) {
    let has_control = |text: &str| text.contains(|letter: char| letter.is_ascii_control());
    assert!(!has_control(head.target()) && !has_control(head.path()));
    assert!(!head.path().contains('?'));
    for name in head.names() {
        let value = head.header(name).expect("it has this name");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
        let text = head.text(name).expect("it has this name");
        assert!(text == "\u{FFFD}" || text.as_bytes() == value || text.contains('\u{FFFD}'));
        assert!(head.tokens(name).all(|token| !token.is_empty()));
    }
    match decide(head) {
        Ok(RequestKind::Upgrade(upgrade)) => upgraded(&upgrade),
        Ok(RequestKind::Page { path, .. }) => assert!(path.starts_with('/')),
        Err(refusal) => answered(&refusal),
    }
}

fn upgraded(upgrade: &Upgrade<'_>) {
    assert_eq!(upgrade.accept.len(), 28);
    assert!(upgrade.path.starts_with('/'));
    let trusted = ["10.0.0.0/8", "::1"].map(|range| IpRange::parse(range).expect("a range"));
    let unknown = "192.0.2.1".parse().expect("an address");
    assert_eq!(effective_address(unknown, upgrade, &trusted), Ok(unknown));
    let proxy = "10.0.0.1".parse().expect("an address");
    let found = effective_address(proxy, upgrade, &trusted);
    match upgrade.forwarded_for().last() {
        None => assert_eq!(found, Ok(proxy)),
        Some(last) if !last.iter().any(|byte| b".:".contains(byte)) => assert!(found.is_err()),
        Some(_) => {}
    }
    if let Err(refusal) = found {
        answered(&refusal);
    }
    drop((upgrade.class(), upgrade.check_version(SupportedVersions::DraftsToo)));
    if let Some(origin) = upgrade.origin.as_deref() {
        page(origin, &upgrade.host);
    }
    if let Err(refusal) = upgrade.check_version(SupportedVersions::Rfc6455) {
        answered(&refusal);
    }
    for protocol in upgrade.protocols() {
        one_head(&switching_protocols(&upgrade.accept, Some(protocol)));
    }
}

fn page(origin: &str, host: &str) {
    let only = Origins::new(&["http://ok.example".to_owned()]);
    assert!(!is_same_origin(origin, host) || only.admit(Some(origin), host));
    let itself = Origins::new(&[origin.to_owned()]).admit(Some(origin), "");
    assert!(itself || origin.contains('*') || OriginPattern::parse(origin).is_err());
    let wide = Origins::new(&["https://*.ok.example:*".to_owned()]);
    if wide.admit(Some(origin), "") {
        let lower = origin.to_lowercase();
        assert!(lower.starts_with("https://") && lower.contains(".ok.") || !origin.is_ascii());
    }
}

fn answered(refusal: &Refusal) {
    let response = refusal.response();
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an empty line");
    one_head(&response[..end + 4]);
}

/// Checks that no part of a request ends the response head early or adds a line to it.
fn one_head(bytes: &[u8]) {
    let ends = bytes.windows(4).filter(|bytes| bytes == b"\r\n\r\n").count();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(ends == 1 && bytes.ends_with(b"\r\n\r\n"));
    assert!(
        lines <= HEAD_LINES_MAX && lines == bytes.windows(2).filter(|it| it == b"\r\n").count()
    );
}
