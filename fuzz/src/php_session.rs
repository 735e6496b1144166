//! PHP session files: no content can change the value of an entry before it.

use tagcast::auth::php_session::{Flag, flag};

/// The bytes are a session. Other sessions are composed from them.
pub fn run(data: &[u8]) {
    let alone = flag(data, "allow");
    // An entry before malformed data counts. Later data can only replace it by an entry with the
    // same name.
    let yes = flag(&[b"allow|b:1;".as_slice(), data].concat(), "allow");
    assert!(yes.is_some());
    if alone.is_none() && !refers(data) {
        assert_eq!(yes, Some(Flag::True));
    }
    // Inside a string, the bytes contain no entry.
    let text = [format!("x|s:{}:\"", data.len()).as_bytes(), data, b"\";"].concat();
    assert_eq!(flag(&text, "allow"), None);
    let behind = [text.as_slice(), b"allow|b:1;"].concat();
    assert_eq!(flag(&behind, "allow"), Some(Flag::True));
    // An entry that was read remains valid, unless a later entry has the same name.
    if let Some(found) = alone {
        assert_eq!(flag(&[data, b"|"].concat(), "allow"), Some(found));
    }
}

/// Returns true if the data may contain a reference. Its number names another value when an entry
/// is inserted before it.
fn refers(data: &[u8]) -> bool {
    data.windows(2).any(|two| matches!(two, b"R:" | b"r:"))
}
