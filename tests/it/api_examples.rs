//! The examples for backends in the README and in `docs/api.md` publish, in each of their
//! languages.

use std::process::Command;

use crate::harness::api::{self, SHOP_SECRET};
use crate::harness::{Open, Server, Setup};

/// The address in the documents.
const DOCUMENTED: &str = "http://127.0.0.1:8094";

/// Returns the fenced blocks of a language that publish.
fn publishing_blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .filter(|block| block.contains("/publish"))
        .collect()
}

/// Runs a script against this server and returns what it prints.
#[track_caller]
fn run(server: &Server, command: &[&str], script: &str) -> String {
    let script = script.replace(DOCUMENTED, &format!("http://127.0.0.1:{}", server.port));
    let mut process = Command::new(command[0]);
    let output = process.args(&command[1..]).arg(&script).env("SECRET", SHOP_SECRET).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the first block of a language in `docs/api.md` that names a room; a page in this room receives it.
#[track_caller]
fn publishes_to_a_room(command: &[&str], language: &str, before: &str, after: &str) {
    let server = api::setup().start();
    let mut page = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1"}"#));
    let blocks = publishing_blocks("docs/api.md", language);
    let block = blocks.iter().find(|block| block.contains("room")).unwrap();
    let printed = run(&server, command, &format!("{before}\n{block}\n{after}"));
    assert_eq!(printed.trim(), r#"{"matched":1,"workers":1}"#);
    let received = page.frame().as_text().to_owned();
    let received: serde_json::Value = serde_json::from_str(&received).unwrap();
    assert_eq!(received, serde_json::json!({"opcode": "broadcast", "message": {"text": "hello"}}));
}

pub fn the_first_line_of_the_readme_publishes_with_the_shipped_files() {
    let server = Setup::new().auth(&std::fs::read_to_string("auth.yml").unwrap()).start();
    let mut page = server.open(&Open::web());
    let block = publishing_blocks("README.md", "sh").remove(0);
    assert_eq!(run(&server, &["sh", "-c"], &block).trim(), r#"{"matched":1,"workers":1}"#);
    page.expect_text(r#"{"opcode":"broadcast","message":"hello"}"#);
}

pub fn the_lines_for_curl_publish() {
    publishes_to_a_room(&["sh", "-c"], "sh", "", "");
}

pub fn the_lines_for_php_publish() {
    publishes_to_a_room(&["php", "-r"], "php", "$secret = getenv('SECRET');", "echo $answer;");
}

pub fn the_lines_for_node_publish() {
    publishes_to_a_room(
        &["node", "--input-type=module", "--eval"],
        "js",
        "const secret = process.env.SECRET;",
        "console.log(await answer.text());",
    );
}

pub fn the_lines_for_python_publish() {
    publishes_to_a_room(
        &["python3", "-c"],
        "python",
        "import os\nsecret = os.environ['SECRET']",
        "print(answer.decode())",
    );
}
