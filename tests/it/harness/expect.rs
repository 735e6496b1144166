//! What a client expects to come next.

use super::frames::{self, BINARY, CLOSE, FIN, PONG, TEXT};
use super::packets::NEXT;
use super::raw::{End, Frame, Raw, shown};

impl Raw {
    /// The next frame is this text, whole and in one frame.
    #[track_caller]
    pub fn expect_text(&mut self, text: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | TEXT, text.as_bytes()));
        frame
    }

    /// The next frame is this binary message.
    #[track_caller]
    pub fn expect_binary(&mut self, bytes: &[u8]) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | BINARY, bytes));
        frame
    }

    /// The next frame is the acknowledgement.
    #[track_caller]
    pub fn expect_next(&mut self) -> Frame {
        self.expect_text(NEXT)
    }

    /// The next frame is a pong with this payload.
    #[track_caller]
    pub fn expect_pong(&mut self, payload: &[u8]) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.shown(), shown(FIN | PONG, payload));
        frame
    }

    /// The next frame is a Close with this code.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.first, FIN | CLOSE, "no Close {code} but {}", frame.shown());
        assert_eq!(frame.close_code(), Some(code), "another code: {}", frame.shown());
        frame
    }

    /// The next frame is a Close with this code; answers it, and sees the connection end in order.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16) -> Frame {
        let frame = self.expect_close(code);
        self.try_send(frames::close(code, "")).ok();
        assert_eq!(self.expect_end(), End::Fin);
        frame
    }

    /// As [`Raw::expect_closed`], for a server that may end with bytes of ours unread: then the
    /// kernel makes a reset of the FIN.
    #[track_caller]
    pub fn expect_closed_somehow(&mut self, code: u16) {
        let frame = self.expect_close(code);
        self.try_send(frames::close(code, "")).ok();
        assert!(matches!(self.expect_end(), End::Fin | End::Reset), "after {}", frame.shown());
    }

    /// Nothing was sent to us until now: a round trip whose answer is the next thing that comes.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.send(frames::ping("anything else?"));
        self.expect_pong(b"anything else?");
    }
}
