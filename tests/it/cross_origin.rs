//! A page of another origin in a real browser: its requests to the HTTP API have no effect, and it reads no answer.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::browser::{Browser, Page};
use crate::harness::api::{Clients, LIST, PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::{Open, Server, eventually};

/// Serves an empty page on a port of its own, which is another origin.
fn other_origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let Ok(1..) = stream.read(&mut request) else { continue };
            let page = "<!doctype html><title>another origin</title>";
            let length = page.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let _sent = write!(stream, "{head}Content-Length: {length}\r\n\r\n{page}");
        }
    });
    port
}

/// Method, path and body of a request to each endpoint of the document.
fn requests(server: &Server, application: &str, uuid: &str) -> Vec<[String; 3]> {
    let document = server.call("GET", "/v1/openapi.json", &[]).json();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let target = path.replace("{app}", application).replace("{uuid}", uuid);
        for method in operations.as_object().unwrap().keys() {
            let body = match path.rsplit(['/', ':']).next().unwrap() {
                "batch" => r#"{"publications":[{"to":"all","message":"evil"}]}"#,
                "feedback" | "ask" => r#"{"message":"evil","timeout_ms":100}"#,
                "disconnect" => r#"{"all":true,"reason":"evil"}"#,
                "retag" => r#"{"expr":"!a=1","set":{"evil":"1"}}"#,
                "tags" if method == "put" => r#"{"tags":{"evil":"1"}}"#,
                "tags" => r#"{"set":{"evil":"1"}}"#,
                "publish" => r#"{"to":"all","message":"evil"}"#,
                _ => "{}",
            };
            all.push([method.to_ascii_uppercase(), target.clone(), body.to_owned()]);
        }
    }
    assert!(all.len() > 20, "{} endpoints", all.len());
    all
}

/// Sends a request in each way that a page has. Returns what it could read of the answers.
fn fetch(page: &mut Page, port: u16, request: &[String; 3]) -> Value {
    let [method, target, body] = request.each_ref().map(|it| serde_json::to_string(it).unwrap());
    page.value(&format!(
        "(async () => {{
            window.readable = null;
            const url = 'http://127.0.0.1:{port}' + {target}, method = {method};
            const body = ['GET', 'HEAD'].includes(method) ? undefined : {body};
            const read = [];
            let sent = 0;
            for (const mode of ['cors', 'no-cors']) for (const headers of [
                {{}}, {{'Content-Type': 'application/json'}}, {{'Content-Type': 'text/plain'}},
                {{'Content-Type': 'application/json', Authorization: 'Bearer {SHOP_SECRET}'}},
            ]) try {{
                const answer = await fetch(url, {{ method, mode, headers, body, credentials: 'include' }});
                if (answer.type === 'opaque') sent++; else read.push(await answer.text());
            }} catch (error) {{}}
            window.readable = {{ read, sent }};
        }})(); 1"
    ));
    page.wait_for("window.readable !== null");
    page.value("window.readable")
}

fn visit(server: &Server, application: &str, uuid: &str) {
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://localhost:{}/", other_origin()));
    page.wait_for("document.title === 'another origin'");
    let mut sent = 0;
    for request in requests(server, application, uuid) {
        let answers = fetch(&mut page, server.port, &request);
        assert_eq!(answers["read"], serde_json::json!([]), "{request:?}");
        sent += answers["sent"].as_u64().unwrap();
    }
    // Simple requests do arrive, and their answers cannot be read.
    assert!(sent > 40, "{sent}");
}

/// A270.
pub fn a_page_of_another_origin_changes_and_reads_nothing() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    // Even with the secret, which a page must not have, no request gets past the preflight.
    visit(&server, "shop", &uuid);
    let shown = server.call("GET", &format!("{LIST}/{uuid}"), &[SHOP]).json();
    assert_eq!(shown["tags"], serde_json::json!({"language": "FR"}));
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
    let open = Server::start();
    let mut client = open.open(&Open::web());
    visit(&open, "-", &client.uuid.clone());
    let list = open.call("GET", "/v1/apps/-/connections", &[]).json();
    assert_eq!(list["connections"][0]["tags"], serde_json::json!({}), "{list}");
    let publish = PUBLISH.replace("shop", "-");
    eventually("a publication of a backend", || {
        let answer = open.post(&publish, ("X", "y"), r#"{"to":"all","message":"last"}"#);
        (answer.status() == 200).then_some(())
    });
    client.expect_text(r#"{"opcode":"broadcast","message":"last"}"#);
}
