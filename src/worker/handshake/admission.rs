//! Admission of a client before the broker is asked: version, origin, credentials, path, tags,
//! address.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::event_stream::EventStreamOpening;
use super::opening_tags;
use super::resuming::PendingResume;
use super::session_cookie::RequiredCheck;
use super::shown_token::{self, AdmittedCredentials, OfferedProtocols};
use crate::auth::{Denied, Grant, TokenClaims};
use crate::config::Refuse;
use crate::http::{
    ClientType, Refusal, RefusalStatus, SupportedVersions, TokenRefusal, Upgrade, WireFormat,
    effective_address, has_members, has_parameter, parameter,
};
use crate::protocol::{Protocol, RefusalClose};
use crate::resource::{
    ConnectRequest, Exactness, RequestedProtocol, ResourceHooks, ResourceId, Route, RouteRequest,
    UnknownPath,
};
use crate::types::{
    AddressLimit, ClientClass, CloseCode, CloseReason, Credentials, Ident, Slot, Tags,
};
use crate::worker::connection::{KeepaliveMode, UNKNOWN_PATH};
use crate::worker::context::Context;
use crate::worker::settings::WorkerSettings;

use rustix::net::getsockname;

/// Client that may join if the broker accepts it.
#[derive(Debug)]
pub(in crate::worker) struct AdmittedClient<'a> {
    pub(in crate::worker) credentials: AdmittedCredentials,
    pub(in crate::worker) resource: ResourceId,
    pub(in crate::worker) protocol_family: Protocol,
    /// Subprotocol that selected the resource.
    pub(in crate::worker) protocol: Option<&'a str>,
    pub(in crate::worker) class: ClientClass,
    /// Client class that decides which publications reach the client.
    pub(in crate::worker) reach: ClientClass,
    pub(in crate::worker) counted: AddressLimit,
    pub(in crate::worker) tags: Tags,
    pub(in crate::worker) ip: IpAddr,
    pub(in crate::worker) keepalive: KeepaliveMode,
    pub(in crate::worker) ident: Option<Ident>,
    /// Present if its protocol has requests.
    pub(in crate::worker) requests: Option<AdmittedRequests>,
    /// Present if it has asked for a stream of events.
    pub(in crate::worker) event_stream: Option<Box<EventStreamOpening>>,
}

/// What a client with requests may do, and has asked for.
#[derive(Debug)]
pub(in crate::worker) struct AdmittedRequests {
    pub(in crate::worker) may_choose_tags: bool,
    pub(in crate::worker) resume: Box<PendingResume>,
}

/// Client that may not join.
#[derive(Debug)]
pub(in crate::worker) enum Rejection {
    /// Refused with an HTTP response.
    Refused(Refusal),
    /// Refused with a Close frame after the 101 response, optionally preceded by a text frame.
    Closed {
        class: ClientClass,
        word: Option<&'static str>,
        reason: CloseReason,
        /// What is wrong with the token.
        token: Option<Box<TokenRefusal>>,
    },
}

/// Headers that proxies add.
const FORWARDING: [&str; 4] = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"];
const BAD_ORIGIN: &str = "this origin may not connect";
const NO_ORIGIN: &str = "the header Origin is missing (requireOrigin)";
const COLON: &str = "the target has a colon (httpErrors)";
const NOT_FROM_HERE: CloseReason =
    CloseReason::new(CloseCode::POLICY, "php-type clients may not connect from this address");

/// Decides about a handshake of the connection in `slot`. `peer` is the address of its socket.
pub(in crate::worker) fn admit_upgrade<'a>(
    context: &Context,
    upgrade: &Upgrade<'a>,
    peer: SocketAddr,
    slot: Slot,
) -> Result<AdmittedClient<'a>, Rejection> {
    let settings = &context.settings;
    let query = upgrade.query.unwrap_or_default();
    let asked = RequestedProtocol::of(upgrade, query);
    let offered = OfferedProtocols::of(upgrade, &settings.rules.access);
    let choice = choose_resource(context, &offered.route_request(upgrade.path, query, asked));
    let supported =
        choice.as_ref().map_or(SupportedVersions::Rfc6455, |(family, _)| family.spec().versions);
    upgrade.check_version(supported).map_err(Rejection::Refused)?;
    check_exactness(settings, upgrade, choice.as_ref().ok()).map_err(Rejection::Refused)?;
    if has_compat_flags(&choice) && settings.has_any_compat_flag() {
        check_legacy(settings, upgrade)?;
    }
    let form = match choice {
        Ok((family, _)) => (family.spec().refusal_close)(&settings.rules.protocols),
        Err(_) => RefusalClose::Policy,
    };
    let refuse = |status, why| rejection_for(settings, upgrade, status, form, why);
    if !settings.origins.admit(upgrade.origin.as_deref(), &upgrade.host) {
        return Err(refuse(RefusalStatus::Forbidden, BAD_ORIGIN));
    }
    let credentials = shown_token::open(&settings.rules.access, upgrade, &offered)
        .map_err(|refusal| rejection(settings, upgrade, refusal, form))?;
    let grant = &credentials.grant;
    let (family, choice) = choice.map_err(|unknown| unknown_route(upgrade, unknown, asked))?;
    let class = class(upgrade, family);
    if let Some(check) = &settings.session_check {
        let by = required_check(settings, upgrade, class, choice.resource, peer.ip());
        check
            .admit(upgrade, by, grant.basis)
            .map_err(|why| refuse(RefusalStatus::Unauthorized, why))?;
    }
    if upgrade.wire == WireFormat::Raw && !family.spec().is_spoken_raw {
        return Err(unknown_path(class, UnknownPath::Closed));
    }
    let resource = context.resources.get(choice.resource);
    let tags = opening_tags::in_query(query)
        .and_then(|own| opening_tags::of_client(context, upgrade, &choice, &credentials, own))
        .map_err(|why| closed(class, form.reason(why)))?;
    let ip = effective_address(peer.ip(), upgrade, &settings.trusted_proxies)
        .map_err(Rejection::Refused)?;
    let peer = SocketAddr::new(ip, peer.port());
    let opening = ConnectRequest::new(upgrade.head, peer, choice.subprotocol);
    admitted_by(resource, &opening, grant)
        .map_err(|refusal| rejection(settings, upgrade, refusal, form))?;
    if class == ClientClass::Php && !php_may_come_from(settings, ip, || local_ip(context, slot)) {
        return Err(closed(class, NOT_FROM_HERE));
    }
    let keepalive = keepalive(settings, upgrade, class, asked);
    let Route { resource, subprotocol, .. } = choice;
    let by_path = || settings.protocol_by_path(upgrade.path).filter(|_| !offered.names.is_empty());
    let protocol = subprotocol.or_else(by_path).or(offered.filler);
    let reach = reach(settings, upgrade, class);
    Ok(AdmittedClient {
        counted: counted(grant, reach, resource),
        ident: ident(upgrade, credentials.claims()),
        requests: None,
        event_stream: None,
        credentials,
        resource,
        protocol_family: family,
        protocol,
        class,
        reach,
        tags,
        ip,
        keepalive,
    })
}

/// Returns true if the compatibility options of `[phpws]` apply to a request.
fn has_compat_flags(choice: &Result<(Protocol, Route<'_>), UnknownPath>) -> bool {
    match choice {
        Ok((family, _)) => family.spec().has_compat_flags,
        Err(unknown) => *unknown == UnknownPath::Closed,
    }
}

/// Returns the rejection of a request that no resource serves.
fn unknown_route(
    upgrade: &Upgrade<'_>,
    unknown: UnknownPath,
    asked: RequestedProtocol,
) -> Rejection {
    match (unknown, asked) {
        // A client that offers subprotocols is not a phpWebSocketServer client and would not
        // understand the 101 with a Close.
        (UnknownPath::Closed, RequestedProtocol::Nothing)
            if upgrade.protocols().next().is_some() =>
        {
            Rejection::Refused(Refusal::UNKNOWN_PROTOCOL)
        }
        _ => unknown_path(upgrade.class(), unknown),
    }
}

/// Returns the resource that serves a request, and the protocol of its connection.
fn choose_resource<'a>(
    context: &Context,
    target: &RouteRequest<'_, 'a>,
) -> Result<(Protocol, Route<'a>), UnknownPath> {
    let choice = context.settings.paths.choose(target)?;
    let own = context.resources.get(choice.resource).map(ResourceHooks::protocol);
    Ok((choice.protocol.or(own).unwrap_or(Protocol::Echo), choice))
}

/// Returns the name of a client. That of its token replaces the one of its header.
pub(super) fn ident(upgrade: &Upgrade<'_>, claims: Option<&TokenClaims>) -> Option<Ident> {
    let of_token = claims.and_then(|claims| claims.ident.as_deref()).map(Cow::Borrowed);
    of_token.or_else(|| upgrade.ident()).and_then(|text| Ident::new(&text).ok())
}

/// Checks whether the resource admits a client with this grant.
pub(super) fn admitted_by(
    resource: Option<&dyn ResourceHooks>,
    opening: &ConnectRequest<'_>,
    grant: &Grant,
) -> Result<(), Refusal> {
    let Some(resource) = resource else { return Ok(()) };
    resource.authorize(opening)?;
    // A backend serves one tenant. Nothing of another tenant may reach it or come from it (P4).
    let is_served = resource.tenant().is_none_or(|tenant| *tenant == grant.tenant);
    match is_served && grant.right.covers(resource.needs()) {
        true => Ok(()),
        false => Err(Refusal::new(RefusalStatus::Unauthorized, Denied::Open.text())),
    }
}

/// Checks the handshake as strictly as the clients of this resource allow.
fn check_exactness(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    choice: Option<&(Protocol, Route<'_>)>,
) -> Result<(), Refusal> {
    let exactness = match choice {
        Some((family, _)) if !family.spec().checks_key => Exactness::AnyKey,
        Some((_, choice)) => settings.paths.exactness(upgrade.path, choice.resource),
        None => Exactness::Rfc6455,
    };
    match exactness {
        Exactness::AnyKey => Ok(()),
        Exactness::AnyLength => upgrade.check_key(),
        Exactness::Rfc6455 => upgrade.check_key().and_then(|()| upgrade.check_body()),
    }
}

/// Returns the client class that decides which publications reach a client.
fn reach(settings: &WorkerSettings, upgrade: &Upgrade<'_>, class: ClientClass) -> ClientClass {
    let claims_php = upgrade.client_type == ClientType::Php;
    if !claims_php && settings.reaches_old_scripts() { ClientClass::Web } else { class }
}

fn rejection_for(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    status: RefusalStatus,
    form: RefusalClose,
    why: &'static str,
) -> Rejection {
    rejection(settings, upgrade, Refusal::new(status, why), form)
}

fn rejection(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    refusal: Refusal,
    form: RefusalClose,
) -> Rejection {
    let is_about_rights =
        matches!(refusal.status, RefusalStatus::Unauthorized | RefusalStatus::Forbidden);
    match settings.refuse {
        Refuse::AfterUpgrade if is_about_rights => {
            let Refusal { why, token, .. } = refusal;
            let why = token.as_ref().map_or(why, |token| token.close_reason.into());
            let (class, reason) = (upgrade.class(), form.reason(why));
            Rejection::Closed { class, word: None, reason, token }
        }
        Refuse::Http | Refuse::AfterUpgrade => Rejection::Refused(refusal),
    }
}

/// Applies refusals of phpWebSocketServer that the options enable.
fn check_legacy(settings: &WorkerSettings, upgrade: &Upgrade<'_>) -> Result<(), Rejection> {
    if settings.requires_origin() && upgrade.head.header("Origin").is_none() {
        return Err(Rejection::Refused(Refusal::new(RefusalStatus::BadRequest, NO_ORIGIN)));
    }
    if settings.bare_errors().is_some() && upgrade.head.target().contains(':') {
        return Err(Rejection::Refused(Refusal::new(RefusalStatus::MethodNotAllowed, COLON)));
    }
    if settings.has_exact_target() && upgrade.head.target() != upgrade.path {
        return Err(unknown_path(upgrade.class(), UnknownPath::Closed));
    }
    Ok(())
}

/// Returns the check that applies when pages need a session. A client chooses its own headers, so
/// they prove nothing: a script is checked by its address, and only on the resource `phpws`. A
/// request through an untrusted proxy has no reliable address and needs a session.
fn required_check(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    class: ClientClass,
    resource: ResourceId,
    peer: IpAddr,
) -> RequiredCheck {
    let is_trusted = || settings.trusted_proxies.iter().any(|range| range.contains(peer));
    let is_forwarded = || FORWARDING.iter().any(|name| upgrade.head.headers(name).next().is_some());
    let is_script = class == ClientClass::Php && resource.is_for_scripts();
    if is_script && (!is_forwarded() || is_trusted()) {
        RequiredCheck::Address
    } else {
        RequiredCheck::Session
    }
}

/// Returns true if a script may connect from this address. By default it must run on the server's
/// machine: its address is loopback, or equals the address that it connected to.
pub(in crate::worker) fn php_may_come_from(
    settings: &WorkerSettings,
    ip: IpAddr,
    local: impl FnOnce() -> Option<IpAddr>,
) -> bool {
    if !settings.allowed_ip.is_empty() {
        return settings.allowed_ip.iter().any(|range| range.contains(ip));
    }
    let ip = ip.to_canonical();
    ip == Ipv4Addr::LOCALHOST
        || ip == Ipv6Addr::LOCALHOST
        || local().is_some_and(|local| local.to_canonical() == ip)
}

/// Returns the keepalive mode of a client. php-type clients and Gomoob's PHP client take a ping for
/// a reply.
fn keepalive(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    class: ClientClass,
    asked: RequestedProtocol,
) -> KeepaliveMode {
    let has_ident = upgrade.ident().as_deref().is_some_and(|ident| !ident.is_empty());
    match class {
        // Clients with an older framing misinterpret a ping or do not support it.
        _ if upgrade.wire == WireFormat::Raw => KeepaliveMode::Pause,
        _ if upgrade.wire != WireFormat::Rfc6455 => KeepaliveMode::Kernel,
        ClientClass::Php if has_ident && !settings.php_keepalive.is_zero() => {
            KeepaliveMode::KeepAlive
        }
        ClientClass::Php => KeepaliveMode::Kernel,
        ClientClass::Web if asked.mistakes_pings() => KeepaliveMode::Kernel,
        ClientClass::Web => KeepaliveMode::Ping,
    }
}

/// Returns whether a client counts towards `maxPerIP`. A client that has shown a secret does not
/// count, nor does a script, whose address must be in `allowedIP`.
pub(super) fn counted(grant: &Grant, reach: ClientClass, resource: ResourceId) -> AddressLimit {
    let is_script = reach == ClientClass::Php && resource.is_for_scripts();
    if grant.basis.is_proven() || is_script { AddressLimit::InAll } else { AddressLimit::ByAddress }
}

fn closed(class: ClientClass, reason: CloseReason) -> Rejection {
    Rejection::Closed { class, word: None, reason, token: None }
}

fn unknown_path(class: ClientClass, unknown: UnknownPath) -> Rejection {
    match unknown {
        UnknownPath::NotFound => Rejection::Refused(Refusal::NOT_FOUND),
        UnknownPath::Closed | UnknownPath::Served(_) => {
            let word = Some(UnknownPath::CLOSE_WORD);
            Rejection::Closed { class, word, reason: UNKNOWN_PATH, token: None }
        }
    }
}

/// Reads `?key=` and `?secret=`. An unreadable key becomes an unknown key. If it were ignored, the
/// client would be admitted like one without a key.
pub(super) fn credentials(query: &str) -> Option<Credentials<'_>> {
    if has_members(query, "key") {
        return Some(Credentials { key: Cow::Borrowed(""), secret: None });
    }
    let key = has_parameter(query, "key").then(|| parameter(query, "key").unwrap_or_default())?;
    Some(Credentials { key, secret: parameter(query, "secret") })
}

/// Returns the client class. Only some protocols have php-type clients.
fn class(upgrade: &Upgrade<'_>, family: Protocol) -> ClientClass {
    if family.spec().has_php_clients { upgrade.class() } else { ClientClass::Web }
}

/// Returns the server address that the client connected to.
pub(in crate::worker) fn local_ip(context: &Context, slot: Slot) -> Option<IpAddr> {
    let address = getsockname(context.sockets.get(slot)?).ok()?;
    SocketAddr::try_from(address).ok().map(|address| address.ip())
}
