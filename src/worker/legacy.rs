//! Clients that are older than RFC 6455: how their first words are known, and how they are answered.

use bytes::Bytes;

use super::connection::{Connection, Heading, Phase};
use super::hub::Hub;
use crate::config::{self, LegacyForm, RawMessages};
use crate::dialect::phpws;
use crate::http::{
    self, Head, HixieAnswer, Mended, OtherProtocol, RAW_GREETING, RawGreeting, Refusal, Request,
    Status,
};
use crate::types::{CloseCode, CloseReason, Encryption, Slot};
use crate::websocket::{Foreign, HixieForm, HixieReader, RawEnd, RawReader, Reader};

/// What the Flash plug-in asks on a connection of its own before it opens another one.
const POLICY_REQUEST: &[u8] = b"<policy-file-request/>";
/// The answer of php-websocket's first version, and the NUL that Flash wants behind it: pages from
/// everywhere may connect to every port. Origins are checked with the handshake.
const POLICY: &[u8] = b"<?xml version=\"1.0\"?>\n\
    <!DOCTYPE cross-domain-policy SYSTEM \
    \"http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd\">\n\
    <cross-domain-policy>\n\
    <allow-access-from domain=\"*\" to-ports=\"*\"/>\n\
    </cross-domain-policy>\n\0";

/// Who is served beside those that speak RFC 6455.
#[derive(Debug)]
pub(super) struct Legacy {
    drafts: Option<(HixieAnswer, HixieForm)>,
    raw: Option<RawEnd>,
}

impl Legacy {
    pub(super) fn of(settings: &config::LegacySettings) -> Self {
        Self {
            drafts: settings.drafts.map(|form| match form {
                LegacyForm::Draft => (HixieAnswer::Draft, HixieForm::Draft),
                LegacyForm::Original => (HixieAnswer::Original, HixieForm::Original),
            }),
            raw: settings.raw.map(|messages| match messages {
                RawMessages::Json => RawEnd::Value,
                RawMessages::Reads => RawEnd::Read,
            }),
        }
    }

    /// Whether bytes are still to come that belong to a handshake, behind its head.
    pub(super) fn waits_behind(&self, heading: &Heading, length: usize) -> bool {
        let Some((HixieAnswer::Draft, _)) = self.drafts else { return false };
        let Some((head, behind)) = heading.bytes.split_at_checked(length) else { return false };
        behind.len() < http::KEY3_BYTES
            && http::parse(head).is_ok_and(|head| http::bytes_behind(&head) > behind.len())
    }
}

/// What the first words of a client come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// A request head, or what is to become one.
    Http,
    /// Nothing yet, or all that there was to say.
    Done,
}

impl Hub {
    /// Looks at what came first. What is no request head and means one is replaced by it.
    pub(super) fn on_first_words(&mut self, slot: Slot, connection: &mut Connection) -> Words {
        let Phase::Head(heading) = &connection.phase else { return Words::Done };
        let bytes = heading.bytes.as_slice();
        if let Some(other) = OtherProtocol::of(bytes) {
            let refusal = match (other, &connection.tls) {
                (OtherProtocol::Tls, Some(_)) => TLS_TWICE,
                _ => other.refusal(),
            };
            self.refuse(slot, connection, &refusal);
            return Words::Done;
        }
        let read = match bytes {
            [b'p', ..] if self.settings.legacy.raw.is_some() => self.on_raw_greeting(connection),
            [b'<', ..] if self.settings.legacy.drafts.is_some() => {
                return self.on_policy_request(slot, connection);
            }
            [b'G', b'E', b'T', ..] => self.on_malformed_head(slot, connection),
            _ => return Words::Http,
        };
        read.unwrap_or_else(|refusal| {
            self.refuse(slot, connection, &refusal);
            Words::Done
        })
    }

    fn on_raw_greeting(&self, connection: &mut Connection) -> Result<Words, Refusal> {
        let (Some(end), Phase::Head(heading)) = (self.settings.legacy.raw, &mut connection.phase)
        else {
            return Ok(Words::Http);
        };
        if heading.bytes.starts_with(RAW_GREETING) && !connection.reader.is_raw() {
            // From here on it is told everything without HTTP.
            connection.reader = Reader::from(Foreign::Raw(RawReader::new(end)));
        }
        match http::raw_greeting(&heading.bytes)? {
            RawGreeting::Other => Ok(Words::Http),
            RawGreeting::Incomplete => Ok(Words::Done),
            RawGreeting::Whole { head, length } => {
                heading.restate(head, length);
                Ok(Words::Http)
            }
        }
    }

    fn on_policy_request(&mut self, slot: Slot, connection: &mut Connection) -> Words {
        let Phase::Head(heading) = &connection.phase else { return Words::Done };
        if heading.bytes.starts_with(POLICY_REQUEST) {
            self.answer_and_end(slot, connection, Bytes::from_static(POLICY));
            return Words::Done;
        }
        let may_be = POLICY_REQUEST.starts_with(&heading.bytes);
        if may_be { Words::Done } else { Words::Http }
    }

    /// Only who may be a script of 2021 is read in its own way: for everybody else a head ends where
    /// RFC 9112 says.
    fn on_malformed_head(&self, slot: Slot, connection: &mut Connection) -> Result<Words, Refusal> {
        let Phase::Head(heading) = &mut connection.phase else { return Ok(Words::Done) };
        let mended = http::mend(&heading.bytes);
        if mended == Ok(Mended::Other) {
            return Ok(Words::Http);
        }
        let ip = heading.peer.ip();
        let is_proxy = self.settings.trusted_proxies.iter().any(|range| range.contains(ip));
        if is_proxy || !self.settings.php_may_come_from(ip, || self.local_ip(slot)) {
            return Ok(Words::Http);
        }
        match mended? {
            Mended::Other => Ok(Words::Http),
            Mended::Incomplete => Ok(Words::Done),
            Mended::Whole { head, length } => {
                heading.restate(head, length);
                Ok(Words::Http)
            }
        }
    }

    /// What a request wants, in whatever age it was made. Bytes that belong to the handshake are
    /// taken from what came behind its head.
    pub(super) fn decide<'a>(
        &self,
        connection: &mut Connection,
        head: &'a Head<'a>,
        early: &mut Vec<u8>,
    ) -> Result<Request<'a>, Refusal> {
        if connection.reader.is_raw() {
            return http::raw_upgrade(head).map(Request::Upgrade);
        }
        let Some((answer, form)) = self.settings.legacy.drafts else { return http::decide(head) };
        let encryption = match connection.tls {
            None => Encryption::Plain,
            Some(_) => Encryption::Tls,
        };
        let Some(upgrade) = http::hixie(head, early, (encryption, answer))? else {
            return http::decide(head);
        };
        drop(early.drain(..http::bytes_behind(head).min(early.len())));
        connection.reader = Reader::from(Foreign::Hixie(HixieReader::new(form)));
        Ok(Request::Upgrade(upgrade))
    }

    /// Refuses a client that knows no HTTP.
    pub(super) fn refuse_raw(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        refusal: &Refusal,
    ) {
        let word = phpws::close_because(&refusal.why);
        self.turn_away(slot, connection, Bytes::new(), (Some(&word), &REFUSED));
    }
}

const TLS_TWICE: Refusal = Refusal::new(
    Status::BadRequest,
    "this is TLS inside of TLS: let the proxy pass TLS through, or speak plain text inside of it",
);

const REFUSED: CloseReason = CloseReason::new(CloseCode::POLICY, "refused");

impl Heading {
    /// Puts a head in the place of its first bytes, which meant it.
    fn restate(&mut self, mut head: Vec<u8>, length: usize) {
        head.extend_from_slice(self.bytes.get(length..).unwrap_or_default());
        self.bytes = head;
        // It was made of fewer bytes than any head may have.
        self.scanner = http::HeadScanner::default();
    }
}
