//! Raw TCP clients of phpWebSocketServer, 2019 to 2021: JSON without frames.

use super::packets::NEXT;
use super::raw::{End, Raw};

/// The first message of the client of 2021.
pub const GREETING: &str = "php process\nGET /php HTTP/1.1\n";

impl Raw {
    /// Expects the acknowledgement as the next bytes, without a frame.
    #[track_caller]
    pub fn expect_raw_next(&mut self) {
        assert_eq!(String::from_utf8(self.read_exactly(NEXT.len())).unwrap(), NEXT);
    }

    /// Expects `ready` as the next bytes, without a frame, and returns the UUID.
    #[track_caller]
    pub fn expect_raw_ready(&mut self) -> String {
        let ready = String::from_utf8(self.read_exactly(129)).unwrap();
        let uuid = ready.strip_prefix(r#"{"opcode":"ready","uuid":""#);
        uuid.and_then(|rest| rest.strip_suffix(r#""}"#))
            .unwrap_or_else(|| panic!("{ready}"))
            .to_owned()
    }

    /// Expects this text, followed only by the end of the connection.
    #[track_caller]
    pub fn expect_raw_end(&mut self, text: &str) {
        assert_eq!(String::from_utf8(self.read_exactly(text.len())).unwrap(), text);
        assert_eq!(self.expect_end(), End::Fin);
    }
}
