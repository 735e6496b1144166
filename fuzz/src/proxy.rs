//! The PROXY protocol: a header is whole, incomplete or refused, and that does not depend on how its bytes are split.

use tagcast::http::ProxyHeader;
use tagcast::types::limits::PROXY_HEADER_BYTES_MAX;

/// Parses the bytes as the first input of a trusted proxy.
pub fn run(data: &[u8]) {
    let found = ProxyHeader::parse(data);
    let ends = 1..=data.len();
    let mut by_byte = ends.map(|end| ProxyHeader::parse(&data[..end]));
    let first = by_byte.find(|found| *found != Ok(ProxyHeader::Incomplete));
    if !data.is_empty() {
        assert_eq!(first.unwrap_or(Ok(ProxyHeader::Incomplete)), found);
    }
    match found {
        Ok(ProxyHeader::Absent) => {}
        Ok(ProxyHeader::Incomplete) => {
            assert!(data.len() < PROXY_HEADER_BYTES_MAX);
            assert!(data.is_empty() || ProxyHeader::may_begin(data));
        }
        Ok(ProxyHeader::Whole { length, .. }) => {
            assert!(length <= data.len() && length <= PROXY_HEADER_BYTES_MAX);
            assert!(ProxyHeader::may_begin(data));
            // What follows the header is not part of it.
            assert_eq!(ProxyHeader::parse(&data[..length]), found);
        }
        Err(_) => assert!(ProxyHeader::may_begin(data)),
    }
}
