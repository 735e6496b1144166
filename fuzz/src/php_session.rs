//! PHP's session files: whatever is in one, an entry in front of it stays what it is.

use tagcast::auth::php_session::{Flag, flag};

/// The bytes are a session; a second one is put together from them.
pub fn run(data: &[u8]) {
    let alone = flag(data, "allow");
    // What stands in front of rubbish counts; what comes behind may only say it anew.
    let yes = flag(&[b"allow|b:1;".as_slice(), data].concat(), "allow");
    assert!(yes.is_some());
    if alone.is_none() && !refers(data) {
        assert_eq!(yes, Some(Flag::True));
    }
    // As the content of a text nothing of it is an entry.
    let text = [format!("x|s:{}:\"", data.len()).as_bytes(), data, b"\";"].concat();
    assert_eq!(flag(&text, "allow"), None);
    let behind = [text.as_slice(), b"allow|b:1;"].concat();
    assert_eq!(flag(&behind, "allow"), Some(Flag::True));
    // An entry that was read is not unsaid by what follows it, unless that names it again.
    if let Some(found) = alone {
        assert_eq!(flag(&[data, b"|"].concat(), "allow"), Some(found));
    }
}

/// A reference names another value when one more is in front.
fn refers(data: &[u8]) -> bool {
    data.windows(2).any(|two| matches!(two, b"R:" | b"r:"))
}
