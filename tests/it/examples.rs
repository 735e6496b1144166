//! The examples, run in the way that a reader would run them.

use std::path::Path;
use std::process::Command;

use crate::harness::{Open, Raw, Server, example};

/// Runs a program to its end, and shows its output if it failed.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Opens a page and returns it with its UUID, and a second page that must receive nothing.
fn page(server: &Server) -> (Raw, String, Raw) {
    let page = server.open(&Open::web());
    let bystander = server.open(&Open::web());
    let uuid = page.uuid.clone();
    (page, uuid, bystander)
}

pub fn the_script_reports_to_the_page_that_started_it() {
    let server = Server::start();
    let (mut page, uuid, mut bystander) = page(&server);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/page-and-script/script.php");
    let address = format!("127.0.0.1:{}", server.port);
    run(Command::new("php").arg(script).args([&uuid, &address]));
    for percent in [0, 25, 50, 75, 100] {
        let frame = page.frame();
        assert!(frame.as_text().contains(&format!("\"percent\":{percent}")), "{}", frame.shown());
    }
    bystander.expect_silence();
}

#[test]
fn the_backend_reports_ten_steps() {
    let server = Server::start();
    let (mut page, uuid, mut bystander) = page(&server);
    let program = example("backend_progress");
    let url = format!("ws://127.0.0.1:{}/web", server.port);
    run(Command::new(program).args([&uuid, &url]));
    for step in 1..=10 {
        let frame = page.frame();
        assert!(
            frame.as_text().contains(&format!("\"percent\":{}", step * 10)),
            "{}",
            frame.shown()
        );
    }
    bystander.expect_silence();
}
