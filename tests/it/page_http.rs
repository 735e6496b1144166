//! The answer to a plain GET of the page: headers, the name of the program, the documents.

use crate::harness::{Open, Raw, Server, Setup, binary};

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut client = Raw::connect(server.port);
    let host = format!("127.0.0.1:{}", server.port);
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(format!("{request}\r\n"));
    let head = client.read_head();
    let length = head.header("Content-Length").unwrap().parse().unwrap();
    let body = String::from_utf8(client.read_exactly(length)).unwrap();
    (head.status(), head.text, body)
}

fn program_in(page: &str) -> String {
    let (_, rest) = page.split_once("data-program=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn the_page_allows_no_frames_and_only_its_own_script() {
    let server = Server::start();
    let (status, head, page) = get(&server, "/", &[]);
    assert_eq!(status, 200);
    for header in [
        "Content-Security-Policy: default-src 'none'; script-src 'sha256-",
        "frame-ancestors 'none'",
        "X-Frame-Options: DENY",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert!(!head.contains("unsafe"), "{head}");
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
}

#[test]
fn the_page_names_the_program_as_it_was_started_at_its_own_machine_only() {
    let server = Server::start();
    let (_, _, here) = get(&server, "/", &[]);
    let program = std::path::absolute(binary()).unwrap();
    assert_eq!(program_in(&here), program.display().to_string());
    for elsewhere in [
        [("Host", "example.org")],
        [("X-Forwarded-For", "192.0.2.7")],
        [("Via", "1.1 proxy")],
        [("Forwarded", "for=192.0.2.7")],
        [("Host", "localhost.example.org")],
    ] {
        let (_, _, page) = get(&server, "/", &elsewhere);
        assert_eq!(program_in(&page), "tagcast", "{elsewhere:?}");
    }
    for here in ["localhost", "127.0.0.1:8094", "[::1]:8094"] {
        let (_, _, page) = get(&server, "/", &[("Host", here)]);
        assert_ne!(program_in(&page), "tagcast", "{here}");
    }
}

#[test]
fn a_program_started_by_a_relative_path_has_its_full_path() {
    let folder = crate::harness::Folder::new();
    std::os::unix::fs::symlink(std::path::absolute(binary()).unwrap(), folder.path("my tagcast"))
        .unwrap();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    let named = folder.path("my tagcast").display().to_string();
    let program = std::path::Path::new("./my tagcast");
    let server = Server::run_program(program, folder, (&["serve"], &[]));
    assert_eq!(program_in(&get(&server, "/", &[]).2), named);
}

#[test]
fn the_page_brings_its_documents_along() {
    let server = Server::start();
    for path in ["/docs/protocol.md", "/docs/answers.md", "/docs/operations.md", "/SECURITY.md"] {
        let (status, head, text) = get(&server, path, &[]);
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("Content-Type: text/plain; charset=utf-8"), "{head}");
        assert_eq!(text, std::fs::read_to_string(&path[1..]).unwrap());
    }
    for path in ["/docs/", "/docs/../Cargo.toml", "/docs/protocol.md/", "/docs/cases.md", "/x"] {
        assert_eq!(get(&server, path, &[]).0, 404, "{path}");
    }
    // The path of a document can be bound to a resource, and old clients are not affected by the documents.
    let server = Setup::new().ini("[resource /docs/protocol.md]\nkind = echo").start();
    assert_eq!(get(&server, "/docs/protocol.md", &[]).0, 400);
    Open::at("/docs/protocol.md").upgrade(server.port);
    let server = Setup::new().ini("page = off").start();
    for path in ["/", "/docs/protocol.md"] {
        assert_eq!(get(&server, path, &[]).0, 404, "{path}");
    }
}
