//! The PROXY protocol of trusted proxies: its header comes before everything else on a connection.

use crate::http::ProxyHeader;
use crate::worker::connection::{Connection, PartialHead, Phase};
use crate::worker::context::Context;
use crate::worker::handshake::refusals;

/// Takes the header from the bytes of a connection without TLS. Returns true if the other bytes can be
/// handled now.
pub(in crate::worker) fn take_before_http(
    context: &mut Context,
    connection: &mut Connection,
) -> bool {
    let Phase::Head(partial) = &connection.phase else { return true };
    if !ProxyHeader::may_begin(&partial.bytes) || connection.tls.is_some() {
        return true;
    }
    take(context, connection)
}

/// Takes the header from what comes before the TLS handshake. Returns the remaining bytes, unless more are
/// needed.
pub(in crate::worker) fn take_before_tls<'a>(
    context: &mut Context,
    connection: &mut Connection,
    arrived: &'a mut [u8],
) -> Option<&'a mut [u8]> {
    let Phase::Head(partial) = &mut connection.phase else { return Some(arrived) };
    if partial.bytes.is_empty() && !ProxyHeader::may_begin(arrived) {
        return Some(arrived);
    }
    partial.bytes.extend_from_slice(arrived);
    if !take(context, connection) {
        return None;
    }
    let Phase::Head(partial) = &mut connection.phase else { return None };
    // The header was incomplete before, so what follows it has arrived now.
    let rest = std::mem::take(&mut partial.bytes).len().min(arrived.len());
    arrived.get_mut(arrived.len() - rest..)
}

/// Returns false if more bytes are needed, or if the connection was refused.
fn take(context: &mut Context, connection: &mut Connection) -> bool {
    let Phase::Head(partial) = &mut connection.phase else { return false };
    // The header of any other peer, and a second one, is refused like every protocol that is not expected.
    if partial.proxy.is_some() || !is_from_proxy(context, partial) {
        return true;
    }
    match ProxyHeader::parse(&partial.bytes) {
        Ok(ProxyHeader::Absent) => true,
        Ok(ProxyHeader::Incomplete) => false,
        Ok(ProxyHeader::Whole { client, length }) => {
            drop(partial.bytes.drain(..length));
            partial.proxy = Some(partial.peer);
            partial.peer = client.unwrap_or(partial.peer);
            !partial.bytes.is_empty()
        }
        Err(refusal) => {
            // TLS has not begun, so the answer is plain text.
            connection.tls = None;
            refusals::refuse(context, connection, &refusal);
            false
        }
    }
}

fn is_from_proxy(context: &Context, partial: &PartialHead) -> bool {
    let ip = partial.peer.ip().to_canonical();
    context.settings.trusted_proxies.iter().any(|range| range.contains(ip))
}
