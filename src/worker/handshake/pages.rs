//! What a plain GET gets: health endpoints, the demo page and its documents.

use std::net::{IpAddr, SocketAddr};

use super::health;
use crate::demo_page;
use crate::http;
use crate::http::{HealthEndpoint, PlainAnswer, Refusal, RequestHead};
use crate::link::control::PROGRAM_VARIABLE;
use crate::worker::connection::Connection;
use crate::worker::connection::close;
use crate::worker::context::Context;

/// Plain GET, HEAD or OPTIONS request.
pub(in crate::worker) struct PageRequest<'a> {
    pub(in crate::worker) path: &'a str,
    pub(in crate::worker) wanted: PlainAnswer,
    /// Program name for command lines on the page.
    pub(in crate::worker) program: String,
}

pub(in crate::worker) fn serve_page(
    context: &mut Context,
    connection: &mut Connection,
    request: PageRequest<'_>,
) -> Result<(), Refusal> {
    let PageRequest { path, wanted, program } = request;
    let is_on = context.settings.has_demo_page;
    let is_bound = context.settings.paths.is_bound(path);
    let health = HealthEndpoint::of(path).filter(|_| !is_bound);
    if wanted == PlainAnswer::Methods && (path == "/" || is_bound || health.is_some()) {
        close::answer_and_end(context, connection, http::methods_response().into());
        return Ok(());
    }
    if let Some(endpoint) = health {
        let response = http::health_response(endpoint, health::readiness(context), wanted);
        close::answer_and_end(context, connection, response.into());
        return Ok(());
    }
    let document = demo_page::document(path).filter(|_| is_on && !is_bound);
    let response = match document {
        Some(text) => {
            let content = content(wanted, text);
            http::page_response("text/plain; charset=utf-8", "", content)
        }
        None if is_on && path == "/" => {
            let html = demo_page::html(&program, &context.settings.host_name);
            let content = content(wanted, &html);
            http::page_response("text/html; charset=utf-8", demo_page::headers(), content)
        }
        None if is_bound && path != "/" => return Err(Refusal::WEBSOCKET_ONLY),
        None => return Err(Refusal::NOT_FOUND),
    };
    close::answer_and_end(context, connection, response.into());
    Ok(())
}

fn content(wanted: PlainAnswer, text: &str) -> http::ResponseBody<'_> {
    match wanted {
        PlainAnswer::Whole => http::ResponseBody::Whole(text.as_bytes()),
        PlainAnswer::Head | PlainAnswer::Methods => http::ResponseBody::LengthOf(text.as_bytes()),
    }
}

/// Headers of proxies. Their presence means that the client is on another machine.
const OF_PROXIES: [&str; 5] =
    ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"];

/// Returns the program name for the page. A client on the server's machine gets the path with which
/// the program was started. Other clients get only the name, because the path is useless to them
/// and should stay private.
pub(in crate::worker) fn program_for(peer: SocketAddr, head: &RequestHead<'_>) -> String {
    let is_proxied = OF_PROXIES.iter().any(|name| head.header(name).is_some());
    let is_here = peer.ip().to_canonical().is_loopback() && names_loopback(head);
    let started_as = (is_here && !is_proxied).then(|| std::env::var(PROGRAM_VARIABLE).ok());
    started_as.flatten().unwrap_or_else(|| demo_page::PROGRAM_NAME.to_owned())
}

/// Returns true if `Host` is a loopback name or address.
fn names_loopback(head: &RequestHead<'_>) -> bool {
    let host = head.header("Host").and_then(|host| str::from_utf8(host).ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
