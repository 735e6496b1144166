//! Routing by headers, paths, names and queries.

use super::*;

fn target(path: &str, asked: RequestedProtocol) -> RouteRequest<'_, 'static> {
    RouteRequest { path, query: "", asked, protocols: &[], offered: None }
}

fn chosen(
    paths: &Routes,
    path: &str,
    asked: RequestedProtocol,
) -> Result<BuiltinKind, UnknownPath> {
    let id = paths.choose(&target(path, asked))?.resource;
    Ok(*BuiltinKind::ALL.iter().find(|kind| kind.id() == id).unwrap())
}

#[test]
fn headers_come_before_paths_and_paths_before_the_query() {
    let paths = Routes::new(BuiltinKind::Phpws, UnknownPath::Closed);
    let of = |path, asked| chosen(&paths, path, asked);
    assert_eq!(of("/", RequestedProtocol::Nothing), Ok(BuiltinKind::Phpws));
    assert_eq!(of("/", RequestedProtocol::GomoobQuery), Ok(BuiltinKind::Gomoob));
    assert_eq!(of("/any/path", RequestedProtocol::GomoobQuery), Ok(BuiltinKind::Gomoob));
    assert_eq!(of("/web", RequestedProtocol::GomoobQuery), Ok(BuiltinKind::Phpws));
    assert_eq!(of("/web", RequestedProtocol::GomoobPhp), Ok(BuiltinKind::Gomoob));
    assert_eq!(of("/nope", RequestedProtocol::GomoobPhp), Ok(BuiltinKind::Gomoob));
    assert_eq!(of("/nope", RequestedProtocol::Phpws), Err(UnknownPath::Closed));
    assert_eq!(of("/nope", RequestedProtocol::Nothing), Err(UnknownPath::Closed));
    let gomoob = Routes::new(BuiltinKind::Gomoob, UnknownPath::Served(BuiltinKind::Gomoob));
    assert_eq!(chosen(&gomoob, "/", RequestedProtocol::Nothing), Ok(BuiltinKind::Gomoob));
    assert_eq!(chosen(&gomoob, "/", RequestedProtocol::Phpws), Ok(BuiltinKind::Phpws));
    assert_eq!(chosen(&gomoob, "/x", RequestedProtocol::Nothing), Ok(BuiltinKind::Gomoob));
    let none = Routes::new(None, UnknownPath::NotFound);
    assert_eq!(chosen(&none, "/", RequestedProtocol::Nothing), Err(UnknownPath::NotFound));
    assert_eq!(chosen(&none, "/", RequestedProtocol::Phpws), Ok(BuiltinKind::Phpws));
}

#[test]
fn paths_are_compared_to_the_letter_and_the_file_wins() {
    let mut paths = Routes::new(BuiltinKind::Phpws, UnknownPath::Closed);
    assert_eq!(chosen(&paths, "/WEB", RequestedProtocol::Nothing), Err(UnknownPath::Closed));
    assert_eq!(chosen(&paths, "/web/", RequestedProtocol::Nothing), Err(UnknownPath::Closed));
    paths.bind("/web", Binding::Kind(BuiltinKind::Echo));
    for asked in [
        RequestedProtocol::Nothing,
        RequestedProtocol::Phpws,
        RequestedProtocol::GomoobPhp,
        RequestedProtocol::GomoobQuery,
    ] {
        assert_eq!(chosen(&paths, "/web", asked), Ok(BuiltinKind::Echo));
    }
}

#[test]
fn a_header_changes_the_protocol_of_a_resource_but_not_the_resource() {
    let mut paths = Routes::new(BuiltinKind::Phpws, UnknownPath::Closed);
    paths.bind("/chat", Binding::Beyond(ResourceId::beyond(0)));
    let of = |asked| paths.choose(&target("/chat", asked)).unwrap();
    assert!(matches!(of(RequestedProtocol::Phpws).protocol, Some(Protocol::Phpws)));
    assert!(of(RequestedProtocol::Nothing).protocol.is_none());
    assert!(of(RequestedProtocol::Phpws).resource == ResourceId::beyond(0));
}

#[test]
fn the_first_known_subprotocol_chooses_then_the_name_in_the_query() {
    let mut paths = Routes::new(BuiltinKind::Phpws, UnknownPath::NotFound);
    paths.bind("Foo", Binding::Kind(BuiltinKind::Echo));
    paths.bind("Bar", Binding::Kind(BuiltinKind::Gomoob));
    paths.bind("/bound", Binding::Kind(BuiltinKind::Phpws));
    let of = |path, query, protocols: &[&'static str]| {
        let asked = RequestedProtocol::Nothing;
        let choice = paths.choose(&RouteRequest { path, query, asked, protocols, offered: None });
        choice.ok().map(|choice| (choice.resource, choice.subprotocol))
    };
    let (foo, bar) = (BuiltinKind::Echo.id(), BuiltinKind::Gomoob.id());
    assert_eq!(of("/", "", &["zip", "Foo", "Bar"]), Some((foo, Some("Foo"))));
    assert_eq!(of("/any", "Bar", &[]), Some((bar, None)));
    assert_eq!(of("/any", "Bar", &["Foo"]), Some((foo, Some("Foo"))));
    assert_eq!(of("/any", "Bar=1", &["/bound", "zip"]), None);
    assert_eq!(of("/any", "/bound", &[]), None);
    assert_eq!(of("/bound", "Foo", &["Foo"]), Some((BuiltinKind::Phpws.id(), None)));
    assert_eq!(of("/", "", &["zip"]), Some((BuiltinKind::Phpws.id(), None)));
}

#[test]
fn old_scripts_are_served_on_the_paths_of_their_servers() {
    let mut paths = Routes::new(BuiltinKind::Phpws, UnknownPath::Closed);
    paths.bind("/strict", Binding::Kind(BuiltinKind::Echo));
    paths.bind("/old", Binding::Kind(BuiltinKind::Phpws));
    for (path, resource, exactness) in [
        ("/", BuiltinKind::Phpws.id(), Exactness::AnyKey),
        ("/old", BuiltinKind::Phpws.id(), Exactness::AnyKey),
        ("/any", BuiltinKind::Echo.id(), Exactness::AnyKey),
        ("/", BuiltinKind::Gomoob.id(), Exactness::AnyLength),
        ("/strict", BuiltinKind::Echo.id(), Exactness::Rfc6455),
        ("/chat", ResourceId::beyond(0), Exactness::Rfc6455),
    ] {
        assert_eq!(paths.exactness(path, resource), exactness, "{path}");
    }
}

#[test]
fn as_one_name_the_offered_subprotocols_are_returned_whole() {
    let mut paths = Routes::new(BuiltinKind::Phpws, UnknownPath::Closed).taking(Offers::OneName);
    paths.bind("Foo", Binding::Kind(BuiltinKind::Echo));
    let of = |path, offered: Option<&'static str>| {
        let (protocols, query, asked) = (["Foo"].as_slice(), "", RequestedProtocol::Nothing);
        let choice = paths.choose(&RouteRequest { path, query, asked, protocols, offered });
        choice.map(|choice| (choice.resource, choice.subprotocol)).ok()
    };
    assert_eq!(of("/any", Some("Foo")), Some((BuiltinKind::Echo.id(), Some("Foo"))));
    for unknown in ["Foo, Bar", "Nope"] {
        assert_eq!(of("/any", Some(unknown)), Some((BuiltinKind::Nameless.id(), Some(unknown))));
        assert_eq!(of("/web", Some(unknown)), Some((BuiltinKind::Phpws.id(), None)));
    }
}
