//! Server name in a ClientHello (RFC 6066 §3), for the log. rustls does not report it for failed
//! handshakes.

/// Bytes before the first field of variable length: record header, message header, version, and 32
/// random bytes.
const FIXED_BYTES: usize = 5 + 4 + 2 + 32;
/// Extension number, and the type of a host name in it.
const SERVER_NAME: &[u8] = &[0, 0];
const HOST_NAME: u8 = 0;
/// Longest DNS name in bytes.
const NAME_BYTES_MAX: usize = 253;

/// Returns the server name if the first bytes of the ClientHello contain it.
pub(in crate::worker) fn server_name(hello: &[u8]) -> Option<&str> {
    let mut rest = hello.get(FIXED_BYTES..)?;
    let _session = vector(&mut rest, 1)?;
    let _ciphers = vector(&mut rest, 2)?;
    let _compressions = vector(&mut rest, 1)?;
    // The list of extensions may continue in a later record.
    let mut extensions = rest.get(2..)?;
    loop {
        let kind = take(&mut extensions, SERVER_NAME.len())?;
        let mut body = vector(&mut extensions, 2)?;
        if kind != SERVER_NAME {
            continue;
        }
        let mut names = vector(&mut body, 2)?;
        let is_host = take(&mut names, 1)? == [HOST_NAME];
        let name = vector(&mut names, 2).filter(|name| is_host && name.len() <= NAME_BYTES_MAX)?;
        return str::from_utf8(name).ok();
    }
}

fn take<'b>(rest: &mut &'b [u8], bytes: usize) -> Option<&'b [u8]> {
    let (taken, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(taken)
}

/// Reads bytes with a length prefix of one or two bytes.
fn vector<'b>(rest: &mut &'b [u8], length_bytes: usize) -> Option<&'b [u8]> {
    let length =
        take(rest, length_bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    take(rest, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a ClientHello with these extensions.
    fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let all: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes(), &short(body.len())[..], *body].concat())
            .collect();
        let tail = [&[0, 0, 2, 0x13, 1, 1, 0][..], &short(all.len()), &all].concat();
        [&[7; FIXED_BYTES][..], &tail].concat()
    }

    #[test]
    fn the_name_is_found_at_any_position() {
        let name: &[u8] = b"\0\x0c\0\0\x09localhost";
        assert_eq!(server_name(&hello(&[(0, name)])), Some("localhost"));
        let behind = hello(&[(10, b"\0\x02\0\x1d"), (0, name), (16, b"")]);
        assert_eq!(server_name(&behind), Some("localhost"));
        assert_eq!(server_name(&hello(&[(10, b"\0\x02\0\x1d")])), None);
        assert_eq!(server_name(&hello(&[(0, b"\0\x04\0\0\x01\xFF")])), None);
        for end in 0..behind.len() - 4 {
            assert_eq!(server_name(&behind[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = server_name(&bytes);
        }
    }
}
