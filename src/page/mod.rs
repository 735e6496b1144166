//! The page that a plain GET of `/` answers with; it is part of the binary and needs nothing else.

/// The whole page.
pub const HTML: &[u8] = include_bytes!("index.html");
