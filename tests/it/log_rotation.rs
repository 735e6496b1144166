//! A full log file of a real server is rotated, and no line is lost or cut.

use std::path::Path;

use crate::harness::{DEADLINE, Open, Server, Setup};

/// The smallest size that the configuration accepts.
const FILE_BYTES: usize = 64 * 1024;
/// Maximum number of bytes that the last line, and a count of lost lines before it, may add to a file that is
/// nearly full.
const SLACK_BYTES: usize = 2 * 4096;

fn server(format: &str, old_files: usize) -> Server {
    let ini = format!(
        "logfile = server.log\nlogMaxSize = 64K\nlogFiles = {old_files}\nlogFormat = {format}\n\
         logLevel = debug\nconsole = on"
    );
    Setup::new().workers(1).ini(&ini).start()
}

/// Opens connections one after another and stops the server, so that all lines are written.
fn connect_and_end(server: &Server, count: usize) {
    for _ in 0..count {
        drop(server.open(&Open::web()));
    }
    server.term();
    assert!(server.wait_exit(DEADLINE).success());
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Returns the connection numbers in the lines about accepted connections, in order. There is one such line
/// per connection.
fn connections(text: &str) -> Vec<usize> {
    let number = |line: &str| {
        let (_, rest) =
            line.split_once("\"connection\":").or_else(|| line.split_once("connection="))?;
        rest.split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
    };
    text.lines().filter(|line| line.contains("accepted")).filter_map(number).collect()
}

/// Returns the log files from the oldest to the current one.
fn files(server: &Server) -> Vec<String> {
    let path = |number| server.folder.path(&format!("server.log.{number}"));
    let old = (1..).map(path).take_while(|path| path.exists()).collect::<Vec<_>>();
    let newest = server.folder.path("server.log");
    old.iter().rev().chain([&newest]).map(|path| read(path)).collect()
}

#[track_caller]
fn expect_whole_files_of_the_wanted_size(files: &[String]) {
    let (newest, old) = files.split_last().unwrap();
    assert!(newest.len() < FILE_BYTES + SLACK_BYTES);
    for file in old {
        assert!((FILE_BYTES..FILE_BYTES + SLACK_BYTES).contains(&file.len()), "{}", file.len());
        assert!(file.ends_with('\n'), "cut: {:?}", file.lines().last());
    }
}

#[test]
fn json_lines_go_on_in_the_next_file_without_a_gap() {
    let server = server("json", 100);
    connect_and_end(&server, 600);
    let files = files(&server);
    assert!(files.len() > 3, "only {}", files.len());
    expect_whole_files_of_the_wanted_size(&files);
    for line in files.iter().flat_map(|file| file.lines()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["message"].is_string(), "{line}");
    }
    let all = connections(&files.concat());
    assert_eq!(all, (1..=600).collect::<Vec<_>>());
}

#[test]
fn only_the_wanted_number_of_old_files_is_kept() {
    let server = server("text", 2);
    connect_and_end(&server, 800);
    let files = files(&server);
    assert_eq!(files.len(), 3);
    expect_whole_files_of_the_wanted_size(&files);
    let kept = connections(&files.concat());
    assert!(kept[0] > 1, "the oldest lines are gone");
    assert_eq!(kept, (kept[0]..=800).collect::<Vec<_>>());
}

#[test]
fn a_file_that_cannot_be_rotated_is_reported_once_and_keeps_growing() {
    let server = server("text", 1);
    // No file can replace a folder, whichever user runs the test.
    std::fs::create_dir_all(server.folder.path("server.log.1")).unwrap();
    connect_and_end(&server, 600);
    let text = read(&server.folder.path("server.log"));
    assert!(text.len() > 2 * FILE_BYTES, "{}", text.len());
    assert_eq!(connections(&text), (1..=600).collect::<Vec<_>>());
    assert_eq!(text.matches("event=log_rotation_failed").count(), 1);
    assert_eq!(server.output().matches("event=log_rotation_failed").count(), 1);
}
