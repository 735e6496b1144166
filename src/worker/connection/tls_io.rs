//! Bytes of a connection that speaks TLS, and what TLS itself has to say.

use bytes::Bytes;
use tracing::debug;

use super::close::BROKEN;
use super::outbox::Sent;
use super::tls::{FirstWords, TOO_OLD};
use super::{Connection, Phase};
use crate::http::{OtherProtocol, Refusal, RefusalStatus};
use crate::types::Slot;
use crate::worker::event_loop::EventLoop;
use crate::worker::handshake::server_name::server_name;

const PLAIN_TEXT: Refusal =
    Refusal::new(RefusalStatus::BadRequest, "this port speaks TLS: use wss:// or https://");

impl EventLoop {
    /// Takes bytes of a connection that speaks TLS. What was in them is taken as from any other.
    pub(in crate::worker) fn read_tls(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        arrived: &mut [u8],
    ) {
        let was_shaking_hands = connection.is_shaking_hands();
        if let Phase::Head(heading) = &mut connection.phase
            && was_shaking_hands
            && !std::mem::replace(&mut heading.speaks_tls, true)
        {
            heading.server_name = server_name(arrived).map(Into::into);
            let words = FirstWords::of(arrived);
            if words != FirstWords::Tls {
                let proxy = OtherProtocol::of(arrived).filter(|it| *it == OtherProtocol::Proxy);
                return self.refuse_in_the_clear(slot, connection, (words, proxy));
            }
        }
        let Some(tls) = &mut connection.tls else { return };
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let opened = tls.open(arrived, &mut plain);
        self.send_handshake(slot, connection);
        match opened {
            Ok(()) => {
                if was_shaking_hands && !connection.is_shaking_hands() {
                    self.begin_head(connection);
                }
                if plain.is_empty() {
                    self.note_unfinished(connection);
                } else {
                    self.on_input(slot, connection, &mut plain);
                }
            }
            Err(error) => {
                match was_shaking_hands {
                    true => self.log_tls_error(connection, &error),
                    false => debug!(connection = connection.serial, %error, "TLS ended"),
                }
                self.discard(slot, connection, "it does not keep to TLS");
            }
        }
        self.plain = plain;
    }

    /// Tells a peer that does not speak TLS, or none that is spoken here, in its own way.
    fn refuse_in_the_clear(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (words, proxy): (FirstWords, Option<OtherProtocol>),
    ) {
        connection.tls = None;
        if words == FirstWords::PlainText {
            let refusal = proxy.map_or(PLAIN_TEXT, OtherProtocol::refusal);
            return self.refuse(slot, connection, &refusal);
        }
        let reason = "TLS 1.2 or 1.3 is needed";
        self.log_refused(connection, b"", ("protocol_version", reason));
        self.answer_and_end(slot, connection, Bytes::from_static(TOO_OLD));
    }

    /// Writes what TLS itself has to say.
    fn send_handshake(&mut self, slot: Slot, connection: &mut Connection) {
        let Some(tls) = connection.tls.as_mut().filter(|tls| tls.has_sealed()) else { return };
        let Some(socket) = self.table.socket(slot) else { return };
        match tls.send(socket) {
            Sent::All => {}
            Sent::Some(_) => {
                // The rest leaves when the socket takes bytes again.
                connection.is_full = true;
                connection.outbox(self.now);
            }
            Sent::Broken => self.discard(slot, connection, BROKEN),
        }
    }

    /// The TLS handshake is done: the time for the request begins.
    fn begin_head(&self, connection: &mut Connection) {
        let until = self.now.after(self.settings.handshake_timeout);
        if let Phase::Head(heading) = &mut connection.phase {
            heading.until = until;
        }
    }
}
