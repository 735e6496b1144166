//! The parameters of a query: each is known and occurs once.

use std::borrow::Cow;

use super::error::{ApiError, ErrorCode, shown};
use super::percent;

/// The parameters of a query, decoded.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Reads a query, which is form-encoded: `+` is a blank.
    ///
    /// # Errors
    ///
    /// If a parameter is not one of `known`, occurs twice, or is not percent-encoded UTF-8. One that is
    /// misspelt thus has no other effect.
    pub(super) fn read(query: Option<&'a str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = form_decoded(name).filter(|name| known.contains(&name.as_ref()));
            let Some(name) = name else {
                let name = shown(part.split('=').next().unwrap_or_default());
                let message = match known {
                    [] => format!("the parameter `{name}` is unknown; there are none here"),
                    _ => {
                        format!("the parameter `{name}` is unknown; known are {}", known.join(", "))
                    }
                };
                return Err(ApiError::new(ErrorCode::UnknownParameter, message));
            };
            let Some(value) = form_decoded(value) else {
                return Err(invalid(&name, "is not percent-encoded UTF-8"));
            };
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(invalid(&name, "occurs twice"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// A count, at most `max`.
    ///
    /// # Errors
    ///
    /// If it is not a number of this range.
    pub(super) fn count(&self, name: &str, max: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse().ok().filter(|count| is_number && *count <= max);
        count.map(Some).ok_or_else(|| invalid(name, &format!("must be a number from 0 to {max}")))
    }
}

/// The error about a parameter.
pub(super) fn invalid(name: &str, what: &str) -> ApiError {
    let message = format!("the parameter `{}` {what}", shown(name));
    ApiError::new(ErrorCode::InvalidParameter, message)
}

fn form_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent::decoded(text);
    }
    let blanks = text.replace('+', " ");
    percent::decoded(&blanks).map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &str) -> &'static str {
        let read = Parameters::read(Some(query), &["expr", "limit"]);
        match read.and_then(|it| it.count("limit", 1000)) {
            Ok(_) => "ok",
            Err(error) => error.code().text(),
        }
    }

    #[test]
    fn values_are_form_decoded() {
        let query = Some("expr=role%3Dadmin+and+beta%3F&limit=3");
        let read = Parameters::read(query, &["expr", "limit"]).unwrap();
        assert_eq!(read.text("expr"), Some("role=admin and beta?"));
        assert_eq!(read.count("limit", 1000).unwrap(), Some(3));
        assert!(Parameters::read(None, &[]).unwrap().text("expr").is_none());
    }

    /// A27, A28.
    #[test]
    fn a_parameter_is_known_occurs_once_and_is_in_its_range() {
        for query in ["", "&", "limit=0", "limit=1000", "e%78pr=1"] {
            assert_eq!(code(query), "ok", "{query}");
        }
        for query in ["limt=3", "limit=1&Limit=2", "%=1", "secret=x"] {
            assert_eq!(code(query), "unknown_parameter", "{query}");
        }
        for query in ["limit=1001", "limit=-1", "limit=+1", "limit=", "limit=1&limit=2", "expr=%ff"]
        {
            assert_eq!(code(query), "invalid_parameter", "{query}");
        }
        let error = Parameters::read(Some("limt=3"), &["limit"]).unwrap_err();
        assert!(error.json(None).contains("`limt`"));
    }
}
