//! The examples, run in the way that a reader would run them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::api::{SHOP_SECRET, setup};
use crate::harness::{Open, Raw, Server, example, frames};

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

/// V146.
pub fn the_script_that_asks_prints_what_the_page_answers() {
    let server = setup().start();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/page-and-script/question.php");
    let address = format!("127.0.0.1:{}", server.port);
    let asked = |page: &mut Raw, answer: &str| {
        let mut command = Command::new("php");
        command.arg(&script).args([&page.uuid, &address]).stdout(Stdio::piped());
        command.env("TAGCAST_KEY", "shop").env("TAGCAST_SECRET", SHOP_SECRET);
        let program = command.spawn().unwrap();
        let question: Value = serde_json::from_str(page.frame().as_text()).unwrap();
        assert_eq!(question["message"]["question"], "Delete the reports of last year?");
        let number = &question["ask"];
        page.text(format!(r#"{{"opcode":"answer","ask":{number},"message":{answer}}}"#));
        page.expect_next();
        String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap()
    };
    let mut page = server.open(&Open::at("/web?key=shop"));
    assert_eq!(asked(&mut page, "true"), "deleted\n");
    assert_eq!(asked(&mut page, "false"), "kept\n");
    let gone = page.uuid.clone();
    page.send(frames::close(1000, ""));
    page.wait_for_end();
    let output = Command::new("php")
        .arg(&script)
        .args([&gone, &address])
        .envs([("TAGCAST_KEY", "shop"), ("TAGCAST_SECRET", SHOP_SECRET)])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "kept: no answer (gone)\n");
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
