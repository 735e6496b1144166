//! `GET /v1/openapi.json`: the endpoints, their bodies and answers, for programs.

use crate::api::response::ApiAnswer;

/// The document. It is written by hand, because the parsers of bodies have no types from which it could be
/// derived: they forward messages byte for byte. Tests compare it with the endpoints and the parsers.
pub(in crate::api) const DOCUMENT: &str = include_str!("../openapi.json");

/// Returns the answer. It needs no credentials. It is not copied, since clients may leave it unread.
pub(in crate::api) fn answer() -> ApiAnswer {
    ApiAnswer::ok(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::Value;

    use super::*;
    use crate::api::endpoint::ask::ASK_MEMBERS;
    use crate::api::endpoint::disconnect::DISCONNECT_MEMBERS;
    use crate::api::endpoint::explain::EXPLAIN_MEMBERS;
    use crate::api::endpoint::issue::ISSUE_MEMBERS;
    use crate::api::endpoint::publish::{FEEDBACK_MEMBERS, PUBLISH_MEMBERS};
    use crate::api::endpoint::retag::{REPLACE_TAGS_MEMBERS, RETAG_MEMBERS, RETAG_ONE_MEMBERS};
    use crate::api::endpoint::revocation::REVOKE_MEMBERS;
    use crate::api::endpoint::token::REFRESH_MEMBERS;
    use crate::api::error::ErrorCode;
    use crate::api::operators::LOGIN_MEMBERS;
    use crate::api::route;
    use crate::types::limits::{API_BATCH_MAX, EXCEPT_MAX};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn members(value: &Value) -> Vec<&str> {
        let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        members
    }

    #[test]
    fn each_operation_of_the_document_is_that_of_an_endpoint() {
        let document = document();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let path = path.replace("{app}", "shop").replace("{uuid}", "u");
            let route = route::find(&path).unwrap_or_else(|_| panic!("{path}"));
            for method in members(operations) {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
                assert!(route.row(&method).is_ok(), "{method} {path}");
            }
        }
    }

    #[test]
    fn each_endpoint_is_in_the_document_with_its_parameters() {
        let document = document();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for (path, row) in route::all() {
            let method = row.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][&path][&method];
            assert!(operation.is_object(), "{method} {path} is not in openapi.json");
            let listed = operation["parameters"].as_array().cloned().unwrap_or_default();
            let of_query = listed.iter().filter(|it| it["in"] == "query");
            let in_query: Vec<String> = of_query.map(|it| text(&it["name"])).collect();
            assert_eq!(in_query, row.parameters, "parameters of {method} {path}");
            let of_path = listed.iter().filter(|it| it["in"] == "path");
            let in_path: Vec<String> =
                of_path.map(|it| format!("{{{}}}", text(&it["name"]))).collect();
            let expected: Vec<&str> = path.split('/').filter(|it| it.starts_with('{')).collect();
            assert_eq!(in_path, expected, "parts of {method} {path}");
        }
    }

    #[test]
    fn each_status_of_the_document_is_that_of_an_error_or_a_success() {
        let known = |status: &str| {
            matches!(status, "200" | "202" | "431")
                || ErrorCode::ALL.iter().any(|code| code.status().to_string() == status)
        };
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        for operation in paths.values().flat_map(|it| it.as_object().unwrap().values()) {
            for status in members(&operation["responses"]) {
                assert!(known(status), "{status} of {operation}");
            }
        }
    }

    #[test]
    fn each_member_of_the_document_is_one_of_the_parser() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        for (schema, parsed) in [
            ("Publication", PUBLISH_MEMBERS),
            ("BatchItem", PUBLISH_MEMBERS),
            ("Feedback", FEEDBACK_MEMBERS),
            ("Question", ASK_MEMBERS),
            ("Explain", EXPLAIN_MEMBERS),
            ("TagUpdate", RETAG_ONE_MEMBERS),
            ("Retag", RETAG_MEMBERS),
            ("Disconnect", DISCONNECT_MEMBERS),
            ("TagReplacement", REPLACE_TAGS_MEMBERS),
            ("Claims", ISSUE_MEMBERS),
            ("Revocation", REVOKE_MEMBERS),
            ("NewToken", REFRESH_MEMBERS),
            ("Login", LOGIN_MEMBERS),
        ] {
            let mut parsed = parsed.to_vec();
            parsed.sort_unstable();
            assert_eq!(members(&schemas[schema]["properties"]), parsed, "{schema}");
        }
        let publications = &schemas["Batch"]["properties"]["publications"];
        assert_eq!(publications["maxItems"], API_BATCH_MAX);
        assert_eq!(schemas["Publication"]["properties"]["except"]["maxItems"], EXCEPT_MAX);
    }
}
