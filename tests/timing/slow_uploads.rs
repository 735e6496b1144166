//! Slow uploads and uploads that are fast enough.

use std::time::Duration;

use crate::harness::frames::{continues, ends, text, text_begins};
use crate::harness::{Open, Server, Setup, echo, pause, with_a_bystander};

/// Starts a server with the shortest deadline that a test can wait for. The bystander has no
/// incomplete message.
fn impatient() -> Server {
    Setup::new().ini("pingInterval = 0\nmessageTimeout = 1s\n").start()
}

#[test]
fn a_slow_upload_in_one_frame_in_pieces_or_in_chunks_is_delivered() {
    let _quiet = crate::harness::among_idle();
    let server = impatient();
    with_a_bystander(&server, |bystander| {
        let long = "x".repeat(30_000);
        let message = echo(&long);
        let mut frame = server.open(&Open::web());
        let mut pieces = server.open(&Open::web());
        let mut chunks = server.open(&Open::web());
        chunks.text("bufferON");
        chunks.expect_next();
        pieces.send(text_begins(""));
        let whole = text(&message);
        // At least 3 KB per second, for three times the deadline.
        let (most, rest) = whole.split_at(30_000);
        for (part, bytes) in message.as_bytes().chunks(1001).zip(most.chunks(1000)) {
            frame.send(bytes);
            pieces.send(continues(part));
            chunks.text(part);
            chunks.expect_next();
            bystander.is_served();
            pause(Duration::from_millis(100));
        }
        frame.send(rest);
        pieces.send(ends(""));
        chunks.text("bufferOFF");
        for client in [&mut frame, &mut pieces, &mut chunks] {
            client.expect_next();
            client.expect_text(&message);
        }
        // The next message has a full deadline of its own.
        frame.send(&whole[..1000]);
        pause(Duration::from_millis(300));
        frame.send(&whole[1000..]);
        frame.expect_next();
        frame.expect_text(&message);
    });
}
