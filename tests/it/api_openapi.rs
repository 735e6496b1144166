//! `GET /v1/openapi.json`, and the API against it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::api::{SHOP_SECRET, setup};

/// The program that `.ci/install-schemathesis` installs.
pub const SCHEMATHESIS: &str = "target/schemathesis/bin/st";

#[test]
fn the_openapi_document_needs_no_credentials() {
    let server = setup().start();
    let answer = server.call("GET", "/v1/openapi.json", &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["openapi"], "3.1.0");
    server.call("GET", "/v1/openapi.json?x=1", &[]).is_error(400, "unknown_parameter");
    server.call("POST", "/v1/openapi.json", &[]).is_error(405, "method_not_allowed");
}

/// Case A122.
pub fn answers_are_those_of_the_openapi_document() {
    let server = setup().start();
    let mut document = server.call("GET", "/v1/openapi.json", &[]).json();
    // With a name of its own invention it would get nothing but 401.
    for operations in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in operations.as_object_mut().unwrap().values_mut() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                if parameter["name"] == "app" {
                    parameter["schema"] = serde_json::json!({"const": "shop"});
                }
            }
        }
    }
    let file = server.folder.write("openapi.json", &document.to_string());
    // A body with GET is 400 before the method is looked at, so `unsupported_method` does not apply.
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_schema_conformance";
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMATHESIS);
    let output = Command::new(program)
        .arg("run")
        .arg(&file)
        .args(["--url", &format!("http://127.0.0.1:{}", server.port)])
        .args(["--header", &format!("Authorization: Bearer {SHOP_SECRET}")])
        .args(["--checks", checks, "--max-examples", "50", "--seed", "1", "--no-shrink"])
        .args(["--workers", "1", "--max-time", "240"])
        .current_dir(server.folder.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
