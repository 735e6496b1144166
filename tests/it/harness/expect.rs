//! Expectations about the next frame of a client.

use super::frames::{self, BINARY, CLOSE, FIN, PONG, TEXT};
use super::packets::NEXT;
use super::raw::{End, Frame, Raw, shown};

impl Raw {
    /// Expects this text as the next message, in one frame.
    #[track_caller]
    pub fn expect_text(&mut self, text: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | TEXT, text.as_bytes()));
        frame
    }

    /// Expects this binary message next.
    #[track_caller]
    pub fn expect_binary(&mut self, bytes: &[u8]) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | BINARY, bytes));
        frame
    }

    /// Expects the acknowledgement `next`.
    #[track_caller]
    pub fn expect_next(&mut self) -> Frame {
        self.expect_text(NEXT)
    }

    /// Expects a pong with this payload next.
    #[track_caller]
    pub fn expect_pong(&mut self, payload: &[u8]) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | PONG, payload));
        frame
    }

    /// Expects a Close with this code next.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.first, FIN | CLOSE, "no Close {code} but {}", frame.shown());
        assert_eq!(frame.close_code(), Some(code), "another code: {}", frame.shown());
        frame
    }

    /// Expects a Close with this code next, answers it, and expects an orderly end of the
    /// connection.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16) -> Frame {
        let frame = self.expect_close(code);
        self.try_send(frames::close(code, "")).ok();
        assert_eq!(self.expect_end(), End::Fin);
        frame
    }

    /// Like [`Raw::expect_closed`], but also accepts a reset. The kernel sends a reset instead of a
    /// FIN if the server closes the socket while bytes from the client are unread.
    #[track_caller]
    pub fn expect_closed_somehow(&mut self, code: u16) {
        let frame = self.expect_close(code);
        self.try_send(frames::close(code, "")).ok();
        assert!(matches!(self.expect_end(), End::Fin | End::Reset), "after {}", frame.shown());
    }

    /// Expects that the server has sent nothing so far: makes a round trip whose answer must be the
    /// next frame.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.send(frames::ping("anything else?"));
        self.expect_pong(b"anything else?");
    }
}
