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
