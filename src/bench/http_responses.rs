//! Responses to publications that are HTTP requests on one connection.

use super::error::BenchError;

/// Maximum length of the head of a response.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Reads responses and fails at the first that reports an error.
#[derive(Debug, Default)]
pub(super) struct HttpResponses {
    /// Bytes of a head that is not complete.
    head: Vec<u8>,
    /// Bytes of the current body that have not arrived; none outside of a body.
    body_left: Option<usize>,
    /// Bytes of the current body.
    body: Vec<u8>,
}

impl HttpResponses {
    /// Takes the next bytes of the connection, and passes on each body that is complete.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut answered: impl FnMut(&[u8]) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let mut rest = bytes;
        loop {
            if let Some(left) = self.body_left {
                let (part, after) = rest.split_at(left.min(rest.len()));
                self.body.extend_from_slice(part);
                rest = after;
                if part.len() < left {
                    self.body_left = Some(left - part.len());
                    return Ok(());
                }
                self.body_left = None;
                answered(&self.body)?;
                self.body.clear();
            }
            if rest.is_empty() {
                return Ok(());
            }
            let known = self.head.len();
            self.head.extend_from_slice(rest);
            let Some(end) =
                self.head.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD)
            else {
                return self.check_length();
            };
            let length = end + END_OF_HEAD.len();
            self.body_left = Some(body_bytes(self.head.get(..end).unwrap_or_default())?);
            self.head.clear();
            rest = rest.get(length.saturating_sub(known)..).unwrap_or_default();
        }
    }

    fn check_length(&self) -> Result<(), BenchError> {
        match self.head.len() > HEAD_BYTES_MAX {
            true => Err(BenchError::Refused("the head of a response has no end".to_owned())),
            false => Ok(()),
        }
    }
}

/// Returns the length of the body after this head.
fn body_bytes(head: &[u8]) -> Result<usize, BenchError> {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().next().unwrap_or_default();
    let refused = |why: String| Err(BenchError::Refused(format!("a publication: {why}")));
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    if !status.is_some_and(|status| status.len() == 3 && status.starts_with('2')) {
        return refused(line.to_owned());
    }
    let field = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut named = fields.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim().to_owned())
    };
    match (field("content-length"), field("transfer-encoding")) {
        (Some(length), None) => match length.parse() {
            Ok(length) => Ok(length),
            Err(_) => refused(format!("`{length}` is not a length of a response")),
        },
        (None, None) => Ok(0),
        _ => refused("its response has no Content-Length, which is required here".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello\
                       HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn responses_are_read_however_they_were_cut() {
        for step in 1..TWO.len() {
            let mut responses = HttpResponses::default();
            let mut bodies = Vec::new();
            for piece in TWO.as_bytes().chunks(step) {
                let kept = responses.read(piece, |body| {
                    bodies.push(body.to_owned());
                    Ok(())
                });
                kept.unwrap();
            }
            assert_eq!((responses.body_left, responses.head.len()), (None, 0), "{step}");
            assert_eq!(bodies, [b"hello".to_vec(), Vec::new()], "{step}");
        }
    }

    #[test]
    fn an_error_of_the_server_is_reported_with_its_text() {
        for (text, expected) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "no Content-Length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "`x` is not a length"),
            ("nonsense\r\n\r\n", "nonsense"),
        ] {
            let error = HttpResponses::default().read(text.as_bytes(), |_| Ok(()));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let endless = vec![b'x'; HEAD_BYTES_MAX + 1];
        assert!(HttpResponses::default().read(&endless, |_| Ok(())).is_err());
    }
}
