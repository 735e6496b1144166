//! The whole server as threads. Placeholder roles: the real ones are tested over their dialects.

use super::*;
use crate::config::{Limits, ListenAddress, LogFormat, LogLevel, LogSettings, UuidKey};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn it_listens_answers_and_stops_and_a_second_one_is_refused() {
    let state_folder =
        std::env::temp_dir().join(format!("tagcast-inprocess-{}", std::process::id()));
    let config = Config {
        listen: vec![ListenAddress { text: "ws://127.0.0.1:0".to_owned() }],
        workers: 2,
        log: LogSettings {
            file: None,
            console: false,
            level: LogLevel::Info,
            format: LogFormat::Text,
        },
        limits: Limits { drain_time: Duration::from_secs(5) },
        uuid_key: UuidKey::File(state_folder.join("uuid.key")),
        state_folder: state_folder.clone(),
    };
    let server = InProcess::start(config.clone()).unwrap();
    let mut text = String::new();
    TcpStream::connect(server.addresses()[0]).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("worker "), "{text}");
    assert!(matches!(InProcess::start(config.clone()), Err(StartError::AlreadyRunning { .. })));
    let address = server.addresses()[0];
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    InProcess::start(config).unwrap().stop();
    std::fs::remove_dir_all(state_folder).unwrap();
}
