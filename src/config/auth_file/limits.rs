//! The member `limits` of an application.

use super::check::{ApplicationEntry, CheckedFile};
use super::tree::{NodeKind, YamlMember, YamlNode};
use super::violation::FindingSubject;
use crate::auth::{ApplicationLimits, PublisherLimits};
use crate::config::diagnostic::{Problem, visible};
use crate::config::parse::rate::{RateUnit, rate};
use crate::config::parse::{Bounds, Size, count, is_absent, size};
use crate::config::schema::nearest_of;
use crate::types::LimitValue;

/// Name of the member.
pub(super) const LIMITS: &str = "limits";
/// Its members.
const MEMBERS: [&str; 6] =
    ["connections", "publications", "bytes", "requests", "message", PER_CONNECTION];
const PER_CONNECTION: &str = "perConnection";
/// The members of `perConnection`.
const PUBLISHER_MEMBERS: [&str; 2] = ["publications", "bytes"];
const CONNECTIONS: Bounds<usize> = Bounds::new(1, 1_000_000_000);
const MESSAGE: Bounds<Size> = Bounds::new(Size(1), Size(64 * 1024 * 1024));

/// Reads the limits of an application. A wrong limit is an error.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> ApplicationLimits {
    let Some(node) = entry.node.get(LIMITS) else { return ApplicationLimits::default() };
    let mut limits = LimitsReader { check, name: entry.member(LIMITS), node };
    limits.names(&MEMBERS);
    let PublisherLimits { publications, bytes } = limits.of_publisher();
    let per_connection = limits.nested(PER_CONNECTION).map(|mut it| {
        it.names(&PUBLISHER_MEMBERS);
        it.of_publisher()
    });
    let per_connection = per_connection.unwrap_or_default();
    ApplicationLimits {
        connections: limits.read("connections", connections),
        requests: limits.read("requests", |text| rate(text, RateUnit::Count)),
        publications,
        bytes,
        message: limits.read("message", |text| size(text, &MESSAGE)),
        per_connection,
    }
}

fn connections(text: &str) -> Result<u32, Problem> {
    count(text, &CONNECTIONS).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Reads the members of one mapping of limits.
struct LimitsReader<'a> {
    check: &'a mut CheckedFile,
    /// Its name in findings.
    name: String,
    node: &'a YamlNode,
}

impl LimitsReader<'_> {
    /// Checks that the value is a mapping of known members, each once.
    fn names(&mut self, known: &[&str]) {
        let about = FindingSubject::at(self.node.line, &self.name);
        let right = format!("write the limits in it: {}", known.join(", "));
        if self.node.construct.is_some() || !matches!(self.node.kind, NodeKind::Mapping(_)) {
            return self.check.error(about, "is not a mapping of limits", right);
        }
        for YamlMember { name, .. } in self.node.members() {
            let text = name.scalar().unwrap_or_default();
            if known.contains(&text) {
                continue;
            }
            let right = match nearest_of(text, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it: the limits are {}", known.join(", ")),
            };
            let member = format!("{}: {}", self.name, visible(text));
            let about = FindingSubject::at(name.line, &member);
            self.check.error(about, "is not a known limit", right);
        }
        self.check.duplicate_members(self.node, &format!("{}: ", self.name), known);
    }

    /// Returns the reader of a mapping in this one.
    fn nested(&mut self, name: &str) -> Option<LimitsReader<'_>> {
        let node = self.node.get(name)?;
        Some(LimitsReader { check: self.check, name: format!("{}: {name}", self.name), node })
    }

    fn of_publisher(&mut self) -> PublisherLimits {
        PublisherLimits {
            publications: self.read("publications", |text| rate(text, RateUnit::Count)),
            bytes: self.read("bytes", |text| rate(text, RateUnit::Bytes)),
        }
    }

    /// Reads one limit. The word `none` means that there is none, whatever the default of the server is.
    fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Problem>) -> LimitValue<T> {
        let Some(value) = self.node.get(name) else { return LimitValue::Inherited };
        let text = value.scalar().filter(|_| value.construct.is_none());
        let parsed = match text {
            Some(text) if !text.is_empty() && is_absent(text) => return LimitValue::Unlimited,
            text => parse(text.unwrap_or_default()),
        };
        parsed.map_or_else(
            |Problem { what, right }| {
                let member = format!("{}: {name}", self.name);
                self.check.error(FindingSubject::at(value.line, &member), what, right);
                LimitValue::Inherited
            },
            LimitValue::At,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::auth_file::check_text;
    use crate::types::RateLimit;
    use std::path::Path;

    fn read(limits: &str) -> Result<ApplicationLimits, String> {
        let text = format!(
            "applications:\n  - key: a\n    secret: s3cret-for-tests-0123456789\n    \
             authorizeOpen: true\n    limits: {limits}\n"
        );
        let read = check_text(Path::new("auth.yml"), &text);
        match read.applications {
            Some(applications) => Ok(applications.list[0].limits),
            None => Err(read.findings.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn limits_are_rates_or_none_or_left_to_the_server() {
        let requests = |text| read(text).map(|limits| limits.requests);
        assert_eq!(requests("{}"), Ok(LimitValue::Inherited));
        assert_eq!(requests("{requests: none}"), Ok(LimitValue::Unlimited));
        let rate = RateLimit::new(500, 900);
        assert_eq!(requests("{requests: 500/s burst 900}"), Ok(LimitValue::At(rate)));
    }

    #[test]
    fn each_limit_is_read_in_its_unit() {
        let limits = read(
            "{connections: 10000, publications: 20/s, bytes: 5M/s burst 10M, message: 64K, \
             perConnection: {publications: 2/s, bytes: none}}",
        );
        let rate = |per_second, burst| LimitValue::At(RateLimit::new(per_second, burst));
        let per_connection =
            PublisherLimits { publications: rate(2, 2), bytes: LimitValue::Unlimited };
        let expected = ApplicationLimits {
            connections: LimitValue::At(10_000),
            requests: LimitValue::Inherited,
            publications: rate(20, 20),
            bytes: rate(5 << 20, 10 << 20),
            message: LimitValue::At(64 << 10),
            per_connection,
        };
        assert_eq!(limits, Ok(expected));
    }

    #[test]
    fn a_wrong_limit_is_named_with_what_is_right() {
        for (limits, words) in [
            ("{requests: 5}", "like `200/s`"),
            ("{requests: [5/s]}", "like `200/s`"),
            ("{requests: }", "like `200/s`"),
            ("{reqests: 5/s}", "did you mean `requests`?"),
            ("{requests: 5/s, requests: 6/s}", "occurs twice"),
            ("5/s", "is not a mapping of limits"),
            ("{perConnection: 5/s}", "is not a mapping of limits"),
            ("{perConnection: {requests: 5/s}}", "the limits are publications, bytes"),
            ("{bytes: 5}", "like `5M/s`"),
            ("{message: 0}", "out of range"),
            ("{connections: many}", "is not a valid number"),
        ] {
            let error = read(limits).unwrap_err();
            assert!(error.contains(words), "{limits}: {error}");
        }
    }
}
