//! The signature of a request to the HTTP API: header names, and the text that is signed.

/// Header with the time of the signature in Unix seconds.
pub(crate) const TIMESTAMP: &str = "x-tagcast-timestamp";
/// Header with a text that no other request of the application has.
pub(crate) const NONCE: &str = "x-tagcast-nonce";
/// Header with the SHA-256 of the body, in lower-case hexadecimal.
pub(crate) const CONTENT: &str = "x-tagcast-content-sha256";
/// Header with `v1=` and the HMAC-SHA256 of the text, in lower-case hexadecimal.
pub(crate) const SIGNATURE: &str = "x-tagcast-signature";

/// The parts of a request that are signed, as they are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedParts<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Without the `?`; empty if there is no query.
    pub(crate) query: &'a str,
    pub(crate) timestamp: u64,
    pub(crate) nonce: &'a str,
    /// The hexadecimal digest of the body.
    pub(crate) content: &'a str,
}

impl SignedParts<'_> {
    /// Returns the seven lines that are signed.
    pub(crate) fn text(self) -> String {
        let Self { method, path, query, timestamp, nonce, content } = self;
        format!("TAGCAST1\n{method}\n{path}\n{query}\n{timestamp}\n{nonce}\n{content}")
    }
}
