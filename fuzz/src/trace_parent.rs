//! The header `traceparent`: a value that is accepted is that of its parts, whatever stands around them.

use tagcast::http::TraceParent;

/// Parses the bytes as a value of the header.
pub fn run(data: &[u8]) {
    let Some(parent) = TraceParent::parse(data) else { return };
    assert!(parent.trace != [0; 16] && parent.span != [0; 8]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = format!("-{}-{}-", hex(&parent.trace), hex(&parent.span));
    assert_eq!(&data[2..53], parts.as_bytes());
    let last = u8::from_str_radix(&char::from(data[54]).to_string(), 16).unwrap();
    assert_eq!(last & 1 == 1, parent.is_sampled);
    assert!(data.len() == 55 || (data[55] == b'-' && &data[..2] != b"00"));
}
