//! What the file says, and everything that is wrong with it.

use std::collections::HashMap;

use serde_yaml::{Mapping, Value};

use super::locate::{Spot, text_at};
use crate::config::Secret;
use crate::config::applications::{Application, Applications};
use crate::config::finding::{Fault, visible};

/// Bytes of a key, and of a tenant's name: they are keys of tables.
const NAME_BYTES_MAX: usize = 255;
/// The members that an application may have.
const MEMBERS: [&str; 6] = ["key", "secret", "authorizeOpen", "clientPublish", "tenant", "schema"];

/// What a file comes to.
pub(super) struct Check<'t> {
    text: &'t str,
    /// Complete only when no violation is an error.
    pub(super) applications: Applications,
    pub(super) violations: Vec<Violation>,
    /// The files of schemas as they are named, each with the place of its application.
    pub(super) schemas: Vec<(usize, String)>,
}

/// Something that is wrong, or odd.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) spot: Spot,
    pub(super) severity: Severity,
    pub(super) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
}

impl Check<'_> {
    fn error(&mut self, spot: Spot, what: impl Into<String>, right: impl Into<String>) {
        let fault = Fault::new(what, right);
        self.violations.push(Violation { spot, severity: Severity::Error, fault });
    }

    fn warn(&mut self, spot: Spot, what: impl Into<String>, right: impl Into<String>) {
        let fault = Fault::new(what, right);
        self.violations.push(Violation { spot, severity: Severity::Warning, fault });
    }
}

/// Checks a parsed file, in the order in which it is written.
pub(super) fn check<'t>(text: &'t str, file: &Value) -> Check<'t> {
    let applications = Applications::default();
    let mut check = Check { text, applications, violations: Vec::new(), schemas: Vec::new() };
    let Value::Mapping(top) = file else {
        let what = "Invalid configuration provided in configuration file !";
        check.error(Spot::File, what, "begin with `applications:`");
        return check;
    };
    for name in top.keys().filter_map(Value::as_str) {
        if !["applications", "anonymous"].contains(&name) {
            let right = "remove it, if it was meant for this server";
            check.warn(Spot::Top(name.to_owned()), "is not known here", right);
        }
    }
    match top.get("applications") {
        None => {
            let what = "No 'applications' key found in provided configuration file !";
            check.error(Spot::File, what, "begin with `applications:` and a list");
        }
        Some(Value::Sequence(list)) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(at, value)| check.application(at, value));
        }
        Some(_) => check.error(
            Spot::Top("applications".to_owned()),
            "is no list of applications, so nobody could use the server",
            "write `- key: …` beneath it for each",
        ),
    }
    check.duplicates();
    check.anonymous(top.get("anonymous"));
    check
}

impl Check<'_> {
    fn application(&mut self, at: usize, value: &Value) {
        let Value::Mapping(members) = value else {
            let right = "write key, secret and authorizeOpen";
            self.error(Spot::Application(at), "is no application", right);
            return self.applications.list.push(Application::nobodys());
        };
        for name in members.keys() {
            let name = name.as_str().unwrap_or_default();
            if !MEMBERS.contains(&name) {
                let spot = Spot::Member(at, visible(name));
                self.warn(spot, "is not known here", "remove it, if it was meant for this server");
            }
        }
        let application = Application {
            key: self.text((at, "key"), members, Needed::Yes).unwrap_or_default(),
            secret: Secret::new(
                self.text((at, "secret"), members, Needed::Yes).unwrap_or_default(),
            ),
            authorize_open: self.switch((at, "authorizeOpen"), members, Needed::Yes),
            client_publish: self.switch((at, "clientPublish"), members, Needed::No),
            tenant: self.text((at, "tenant"), members, Needed::No),
            schema: None,
        };
        let schema = self.text((at, "schema"), members, Needed::No);
        self.schemas.extend(schema.map(|file| (at, file)));
        self.applications.list.push(application);
    }

    /// A member that is a text; a number is taken as it is written, with a warning, since PHP
    /// compares it as a number.
    fn text(
        &mut self,
        (at, name): (usize, &'static str),
        members: &Mapping,
        needed: Needed,
    ) -> Option<String> {
        let spot = || Spot::Member(at, name.to_owned());
        let text = match members.get(name) {
            None | Some(Value::Null) => {
                self.missing((at, name), needed);
                return None;
            }
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => {
                self.warn(spot(), "is a number, and taken as a text", "put it into quotes");
                text_at(self.text, &spot()).unwrap_or_else(|| number.to_string())
            }
            Some(_) => {
                self.error(spot(), "is no text", "put it into quotes");
                return None;
            }
        };
        if text.is_empty() {
            let right = if needed == Needed::Yes { "give it a value" } else { "leave it out" };
            self.error(spot(), "is empty", right);
            return None;
        }
        if name != "secret" && text.len() > NAME_BYTES_MAX {
            let what = format!("has {} bytes", text.len());
            self.error(spot(), what, format!("use {NAME_BYTES_MAX} at most"));
        }
        Some(text)
    }

    /// A member that is true or false. Gomoob takes the texts `no` and `"false"` for true; whoever
    /// wrote them meant something else, so they have to be written again.
    fn switch(
        &mut self,
        (at, name): (usize, &'static str),
        members: &Mapping,
        needed: Needed,
    ) -> bool {
        match members.get(name) {
            None | Some(Value::Null) => {
                self.missing((at, name), needed);
                false
            }
            Some(Value::Bool(switch)) => *switch,
            Some(_) => {
                let spot = Spot::Member(at, name.to_owned());
                self.error(spot, "is neither true nor false", "write true or false, unquoted");
                false
            }
        }
    }

    fn missing(&mut self, (at, name): (usize, &'static str), needed: Needed) {
        if needed == Needed::Yes {
            let what = format!(
                "No '{name}' property found in application '{}' declared in the configuration \
                 file !",
                at + 1
            );
            self.error(Spot::Application(at), what, format!("add `{name}: …`"));
        }
    }

    fn duplicates(&mut self) {
        let mut first: HashMap<String, usize> = HashMap::new();
        let keys: Vec<String> = self.applications.list.iter().map(|it| it.key.clone()).collect();
        for (at, key) in keys.into_iter().enumerate().filter(|(_, key)| !key.is_empty()) {
            match first.get(&key) {
                None => {
                    first.insert(key, at);
                }
                Some(before) => {
                    let what = format!("is the key of application {} too", before + 1);
                    self.error(Spot::Member(at, "key".to_owned()), what, "give each its own");
                }
            }
        }
    }

    fn anonymous(&mut self, value: Option<&Value>) {
        let spot = || Spot::Top("anonymous".to_owned());
        let Some(value) = value.filter(|value| !value.is_null()) else { return };
        let key = match value {
            Value::String(key) => key.clone(),
            Value::Number(number) => {
                text_at(self.text, &spot()).unwrap_or_else(|| number.to_string())
            }
            _ => return self.error(spot(), "is no key", "name the key of an application"),
        };
        let list = &self.applications.list;
        let Some(at) = list.iter().position(|application| application.key == key) else {
            let what = format!("`{}` is the key of no application", visible(&key));
            return self.error(spot(), what, "name one of the list");
        };
        let lets_in = list.get(at).is_some_and(|application| application.authorize_open);
        self.applications.anonymous = Some(at);
        if !lets_in {
            let what = "names an application with authorizeOpen: false, so nobody gets in by it";
            self.warn(spot(), what, "set it to true there, or remove `anonymous`");
        }
    }
}

/// Whether a member must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}
