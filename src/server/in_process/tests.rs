//! Tests of the whole server as threads of one process.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::client::{Destination, Publisher};
use crate::config::{self, ConfigSources};

fn config(folder: &std::path::Path) -> Config {
    let flags = [("address", "ws://127.0.0.1:0"), ("workers", "2"), ("console", "off")];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    config::load(&ConfigSources { flags, folder: folder.to_owned(), ..ConfigSources::default() })
        .unwrap()
        .config
}

#[test]
fn it_serves_and_stops_and_a_second_one_in_the_same_folder_is_refused() {
    let folder = std::env::temp_dir().join(format!("tagcast-inprocess-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = config(&folder);
    let server = InProcess::start(config.clone()).unwrap();
    let address = server.addresses()[0];
    let mut page = TcpStream::connect(address).unwrap();
    page.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    let mut publisher = Publisher::connect(&format!("ws://{address}/web")).unwrap();
    publisher.publish(&Destination::All, &"hello".into()).unwrap();
    assert!(matches!(InProcess::start(config.clone()), Err(StartError::AlreadyRunning { .. })));
    server.stop();
    assert!(publisher.publish(&Destination::All, &"too late".into()).is_err());
    assert!(TcpStream::connect(address).is_err());
    InProcess::start(config).unwrap().stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// The answer to a request for the metrics on this address.
fn metrics(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn it_has_metrics_of_its_threads() {
    let folder = std::env::temp_dir().join(format!("tagcast-threads-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut flags = ConfigSources { folder: folder.clone(), ..ConfigSources::default() };
    let given = [
        ("address", "ws://127.0.0.1:0".to_owned()),
        ("workers", "1".to_owned()),
        ("console", "off".to_owned()),
        ("api", "on".to_owned()),
        ("apiAddress", format!("http://{port}")),
    ];
    flags.flags = given.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let server = InProcess::start(config::load(&flags).unwrap().config).unwrap();
    let mut publisher = Publisher::connect(&format!("ws://{}/web", server.addresses()[0])).unwrap();
    publisher.publish(&Destination::All, &"hello".into()).unwrap();
    let text = loop {
        let text = metrics(port);
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        // Figures may be a second old.
        if text.contains("tagcast_publications_total{source=\"websocket\"} 1") {
            break text;
        }
    };
    assert!(text.contains("tagcast_server_state{state=\"serving\"} 1"), "{text}");
    assert!(!text.contains("tagcast_process_"), "{text}");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}
