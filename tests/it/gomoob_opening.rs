//! Gomoob's clients open connections: cases 94 to 97, 117, 118, 151 and 152 of the contract.

use crate::harness::{Open, Raw, Server, Setup};

/// Publishes a message to these tags. Returns whether this client, which is the only one, gets it.
#[track_caller]
fn carries(client: &mut Raw, tags: &str) -> bool {
    client.text(format!(r#"{{"message":"to these","tags":{tags}}}"#));
    client.text(r#"{"message":"end"}"#);
    match client.frame().as_text() {
        r#""to these""# => {
            client.expect_text(r#""end""#);
            true
        }
        r#""end""# => false,
        other => panic!("{other}"),
    }
}

#[test]
fn case_94_and_152_raw_braces_and_quotes_are_accepted_and_nothing_greets() {
    let server = Server::start();
    let mut client = Open::tags(r#"{"lang":"EN"}"#).ask(server.port);
    let head = client.expect_upgrade();
    assert_eq!(
        head.text,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
    client.expect_silence();
    assert!(carries(&mut client, r#"{"lang":"EN"}"#));
}

#[test]
fn case_95_the_query_is_decoded_as_forms_are() {
    let server = Server::start();
    for (query, tags) in [
        ("%7B%22lang%22%3A%22EN%22%7D", r#"{"lang":"EN"}"#),
        (r#"{"a":"x+y"}"#, r#"{"a":"x y"}"#),
        (r#"{"a":"x%2By"}"#, r#"{"a":"x+y"}"#),
        (r#"{"a": "b c"}"#, r#"{"a":"b c"}"#),
        ("{\"a\":\"%C3%A9\"}", "{\"a\":\"é\"}"),
        (r#"{"a":"\u00e9"}"#, r#"{"a":"é"}"#),
        (r#"{"a":"x"}&tags={"b":"y"}"#, r#"{"b":"y"}"#),
    ] {
        let mut client = Open::tags(query).upgrade(server.port);
        assert!(carries(&mut client, tags), "{query}");
    }
}

/// `http_build_query` of PHP, and `URLSearchParams` of pages, write tags one by one.
#[test]
fn tags_may_come_one_by_one() {
    let server = Server::start();
    for (query, tags) in [
        ("tags[language]=FR", r#"{"language":"FR"}"#),
        ("tags%5Blanguage%5D=FR&tags%5Broom%5D=12", r#"{"language":"FR","room":12}"#),
        ("x=y&tags[a]=x+y&tags[b]=%C3%A9&z", r#"{"a":"x y","b":"\u00e9"}"#),
        ("tags[a]=1&tags[a]=2", r#"{"a":"2"}"#),
        (r#"tags={"a":"b"}&tags[c]=d"#, r#"{"c":"d"}"#),
        (r#"tags[c]=d&tags={"a":"b"}"#, r#"{"a":"b"}"#),
    ] {
        let mut client = Open::at(&format!("/?{query}")).upgrade(server.port);
        assert!(carries(&mut client, tags), "{query}");
    }
    let mut client = Open::at("/?tags[language]=FR").upgrade(server.port);
    assert!(!carries(&mut client, r#"{"language":"EN"}"#));
    let no_value = |name: &str| format!("The '{name}' tag is not an integer or a string !");
    for (query, why) in [
        ("tags[]=x", "The tag name '0' is not a string !".to_owned()),
        ("tags[45]=x", "The tag name '45' is not a string !".to_owned()),
        ("tags[a][b]=x", no_value("a")),
        ("tags[a]=%ff", no_value("a")),
        ("tags[a=x", "The 'tags' URL parameter is not a JSON array !".to_owned()),
        ("tags[@resource]=/chat", "The tag '@resource' is the server's to give !".to_owned()),
    ] {
        let mut client = Open::at(&format!("/?{query}")).upgrade(server.port);
        assert_eq!(&client.expect_closed(1008).payload[2..], why.as_bytes(), "{query}");
    }
    // The path still decides the dialect.
    server.open(&Open::at("/web?tags[language]=FR"));
}

#[test]
fn case_96_invalid_tags_close_the_connection_with_a_reason() {
    let server = Server::start();
    let not_an_array = "The 'tags' URL parameter is not a JSON array !";
    let no_value = "The 'p' tag is not an integer or a string !";
    for (query, why) in [
        ("abcde", not_an_array),
        ("null", not_an_array),
        ("5", not_an_array),
        (r#""s""#, not_an_array),
        ("", not_an_array),
        (r#"["a"]"#, "The tag name '0' is not a string !"),
        (r#"{"45":"x"}"#, "The tag name '45' is not a string !"),
        (r#"{"p":[1]}"#, no_value),
        (r#"{"p":true}"#, no_value),
        (r#"{"p":1.5}"#, no_value),
        (r#"{"p":null}"#, no_value),
        (r#"{"p":{}}"#, no_value),
    ] {
        for path in ["/", "/any", "/web"] {
            let mut client = Open::at(&format!("{path}?tags={query}")).upgrade(server.port);
            let close = client.expect_closed(1008);
            assert_eq!(&close.payload[2..], why.as_bytes(), "{path} {query}");
        }
        let php = Open::php().target(&format!("/php?tags={query}"));
        php.upgrade(server.port).expect_closed(1008);
    }
}

#[test]
fn case_97_an_opening_without_tags_has_none() {
    let server = Server::start();
    for query in ["?tags={}", "?tags=[]", "?key=a&secret=b"] {
        let mut client = Open::at(&format!("/{query}")).upgrade(server.port);
        client.expect_silence();
        assert!(!carries(&mut client, r#"{"a":"x"}"#));
        assert!(carries(&mut client, "{}"));
    }
}

#[test]
fn tags_have_bounds() {
    let server = Server::start();
    let many = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("\"n{n}\":{n}")).collect();
        format!("{{{}}}", all.join(","))
    };
    let long = |name: usize, value: usize| {
        format!("{{\"{}\":\"{}\"}}", "n".repeat(name), "v".repeat(value))
    };
    for good in [many(128), long(255, 255)] {
        let mut client = Open::tags(&good).upgrade(server.port);
        assert!(carries(&mut client, &good));
    }
    for bad in [many(129), long(256, 1), long(1, 256), r#"{"":"x"}"#.to_owned()] {
        Open::tags(&bad).upgrade(server.port).expect_closed(1008);
    }
}

#[test]
fn case_117_an_invalid_handshake_is_refused() {
    let server = Server::start();
    let open = Open::tags("{}");
    let draft = open.clone().without("Origin").header("Sec-WebSocket-Version", "8");
    let mut client = draft.header("Sec-WebSocket-Origin", "http://h").upgrade(server.port);
    assert!(carries(&mut client, "{}"));
    for version in ["99", "12", "13, 8"] {
        let open = open.clone().header("Sec-WebSocket-Version", version);
        let head = open.ask(server.port).expect_refusal(400);
        assert_eq!(head.header("Sec-WebSocket-Version"), Some("13, 8"));
    }
    open.clone().without("Sec-WebSocket-Version").ask(server.port).expect_refusal(400);
    open.clone().header("Sec-WebSocket-Key", "YWJj").ask(server.port).expect_refusal(400);
    open.version("HTTP/1.0").ask(server.port).expect_refusal(400);
}

#[test]
fn case_118_any_path_is_accepted() {
    let server = Server::start();
    for path in ["/any", "/a/b/c.php", "/%20", "/chat"] {
        let mut client = Open::at(&format!("{path}?tags={{\"a\":1}}")).upgrade(server.port);
        assert!(carries(&mut client, r#"{"a":"1"}"#), "{path}");
    }
    let php = Open::at("/any").without("Origin").header("User-Agent", "websocket-client-php");
    assert!(carries(&mut php.upgrade(server.port), "{}"));
}

#[test]
fn case_151_the_dialect_follows_from_the_request() {
    let server = Server::start();
    let ready = |open: &Open| drop(server.open(open));
    let silent = |open: &Open| open.upgrade(server.port).expect_silence();
    ready(&Open::at("/"));
    ready(&Open::php().target("/"));
    ready(&Open::tags(r#"{"a":"b"}"#).header("Client-Type", "web"));
    ready(&Open::tags(r#"{"a":"b"}"#).ident(""));
    ready(&Open::at(r#"/web?tags={"a":"b"}"#));
    ready(&Open::at("/?key=a"));
    silent(&Open::tags(r#"{"a":"b"}"#));
    let agent = Open::web().header("User-Agent", "websocket-client-php");
    silent(&agent.clone().without("Origin"));
    ready(&agent);
    let mut nope = Open::php().target("/nope?tags={}").upgrade(server.port);
    nope.expect_text(r#"{"opcode":"close"}"#);
}

#[test]
fn the_configuration_may_choose_the_dialect() {
    let ini = "defaultDialect = gomoob\nunknownPath = gomoob\n[resource /g]\nkind = gomoob\n\
               [resource /p]\nkind = phpws\n";
    let server = Setup::new().ini(ini).start();
    for path in ["/", "/any", "/g"] {
        let mut client = Open::at(path).upgrade(server.port);
        assert!(carries(&mut client, "{}"), "{path}");
    }
    server.open(&Open::web());
    server.open(&Open::at(r#"/p?tags={"a":"b"}"#));
    let mut pinned = Open::php().target("/g").upgrade(server.port);
    assert!(carries(&mut pinned, "{}"));
}
