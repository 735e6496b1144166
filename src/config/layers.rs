//! The given values of all keys with their locations, and the findings about them.

use std::collections::BTreeMap;
use std::path::Path;

use super::diagnostic::{Diagnostic, Problem, ValueLocation};
use super::env::{DotEnv, has_variables, substitute};
use super::foreign_variables::is_of_a_container;
use super::ini;
use super::ini::{IniEntry, IniSection, Title};
use super::schema::{
    ConfigKey, RESERVED_VARIABLES, VARIABLE_PREFIX, find, folded, nearest, nearest_of,
};
use super::{ConfigSources, EffectiveValues, KEYS};
use crate::types::limits::{EXPANDED_BYTES_MAX, EXPANSION_BYTES_MAX};

/// Variable with the base URL of a receiver (OpenTelemetry Protocol Exporter).
const OTLP_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Name of the section that our own keys may be in, as in the current version of
/// phpWebSocketServer.
const OWN_SECTION: &str = "websocketserver";
/// Sections of phpWebSocketServer that this server ignores.
const FOREIGN_SECTIONS: &[&str] = &["develop"];

/// A section `[resource …]` as it was written.
pub(super) struct ResourceSection {
    pub(super) place: ValueLocation,
    /// Path or subprotocol in its heading.
    pub(super) name: String,
    /// Entries: location, key and value.
    pub(super) entries: Vec<(ValueLocation, String, String)>,
}

/// A value as it was written.
#[derive(Clone)]
struct GivenValue {
    place: ValueLocation,
    /// Key as it was spelled.
    key: String,
    /// Value as it was written, which a finding may show. A `${NAME}` is not expanded, so that its
    /// value is not shown.
    written: String,
    /// Effective value.
    text: String,
}

impl GivenValue {
    fn new(place: ValueLocation, key: &str, written: &str, text: String) -> Self {
        Self { place, key: key.to_owned(), written: written.to_owned(), text }
    }
}

/// The given values and the findings so far.
pub(super) struct ConfigLayers<'a> {
    source: &'a ConfigSources,
    dot_env: &'a DotEnv,
    values: BTreeMap<(&'static str, &'static str), GivenValue>,
    /// Sections `[resource /path]` with their entries.
    pub(super) resources: Vec<ResourceSection>,
    findings: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Bytes that variables may still add.
    expansion: usize,
}

impl<'a> ConfigLayers<'a> {
    pub(super) fn new(source: &'a ConfigSources, dot_env: &'a DotEnv) -> Self {
        let (values, resources) = (BTreeMap::new(), Vec::new());
        let (findings, warnings) = (Vec::new(), Vec::new());
        let expansion = EXPANSION_BYTES_MAX;
        Self { source, dot_env, values, resources, findings, warnings, expansion }
    }

    pub(super) fn findings(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (self.findings, self.warnings)
    }

    /// Returns all given values.
    pub(super) fn values(&self) -> EffectiveValues {
        let mut values = EffectiveValues::default();
        for key in KEYS {
            if let Some(value) = self.values.get(&(key.section, key.name)) {
                values.put(key, &value.place, &value.written, &value.text);
            }
        }
        values
    }

    /// Returns the number of findings so far.
    pub(super) fn faults(&self) -> usize {
        self.findings.len()
    }

    /// Adds the findings of another file.
    pub(super) fn take_read(&mut self, findings: Vec<Diagnostic>, warnings: Vec<Diagnostic>) {
        self.findings.extend(findings);
        self.warnings.extend(warnings);
    }

    pub(super) fn find_fault(&mut self, place: ValueLocation, key: &str, fault: Problem) {
        self.findings.push(Diagnostic::new(place, key, fault));
    }

    /// Reads the value of a key. Returns None if it is not given, or invalid, which adds a finding.
    pub(super) fn read<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let GivenValue { place, key, written, text } =
            self.values.get(&(section, name)).cloned()?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(fault) => {
                // A URL with a user has a password.
                let is_secret = name == "uuidKey" || name == "nats" && text.contains('@');
                let finding = if is_secret {
                    Diagnostic::new(place, &key, fault)
                } else {
                    Diagnostic::of_value(place, &key, &written, fault)
                };
                self.findings.push(finding);
                None
            }
        }
    }

    /// Reads the value of a key. Uses the default in the table of keys if it is not given or
    /// invalid.
    pub(super) fn or_default<T: Default>(
        &mut self,
        section: &'static str,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> T {
        let default = || find(section, name).and_then(|key| parse(key.default).ok());
        self.read(section, name, &parse).or_else(default).unwrap_or_default()
    }

    /// Adds an error about a given value that was detected after reading it.
    pub(super) fn find_fault_of<T>(&mut self, name: &'static str, fault: Problem) -> Option<T> {
        let finding = self.about("", name, fault);
        self.findings.push(finding);
        None
    }

    /// Adds a warning about a given value.
    pub(super) fn warn(&mut self, name: &'static str, fault: Problem) {
        self.warn_in("", name, fault);
    }

    /// Adds a warning about a given value of a section.
    pub(super) fn warn_in(&mut self, section: &'static str, name: &'static str, fault: Problem) {
        let finding = self.about(section, name, fault);
        self.warnings.push(finding);
    }

    fn about(&self, section: &'static str, name: &'static str, fault: Problem) -> Diagnostic {
        match self.values.get(&(section, name)) {
            Some(value) => {
                Diagnostic::of_value(value.place.clone(), &value.key, &value.written, fault)
            }
            None => Diagnostic::new(ValueLocation::Default, name, fault),
        }
    }

    /// Returns the location of a given key.
    pub(super) fn place(&self, section: &'static str, name: &'static str) -> Option<ValueLocation> {
        self.values.get(&(section, name)).map(|value| value.place.clone())
    }

    pub(super) fn take_file(&mut self, path: &Path, text: &str) {
        let ini = ini::parse(text);
        for (line, fault) in ini.faults {
            self.find_fault(ValueLocation::Line(path.to_owned(), line), "", fault);
        }
        for block in ini.blocks {
            self.take_block(path, block);
        }
    }

    fn take_block(&mut self, path: &Path, block: IniSection) {
        let place = ValueLocation::Line(path.to_owned(), block.line);
        let name = match block.title {
            Title::Top => String::new(),
            Title::Named(name) => name,
            Title::Unreadable => return,
        };
        if let Some(resource) = name.strip_prefix("resource ") {
            return self.take_resource(path, place, resource.trim(), block.entries);
        }
        let section = match folded(&name).as_str() {
            OWN_SECTION => String::new(),
            section => section.to_owned(),
        };
        if FOREIGN_SECTIONS.contains(&section.as_str()) {
            return self.take_foreign(place, &section);
        }
        if !KEYS.iter().any(|key| key.section == section) {
            let right = format!("use {} or [resource /path]", sections().join(", "));
            let fault = Problem::new("unknown section", right);
            return self.find_fault(place, &format!("[{name}]"), fault);
        }
        for entry in block.entries {
            let place = ValueLocation::Line(path.to_owned(), entry.line);
            self.take_entry(place, &section, &entry.key, &entry.value);
        }
    }

    fn take_resource(
        &mut self,
        path: &Path,
        place: ValueLocation,
        name: &str,
        entries: Vec<IniEntry>,
    ) {
        let entries = entries.into_iter().map(|entry| {
            (ValueLocation::Line(path.to_owned(), entry.line), entry.key, entry.value)
        });
        let entries = entries.collect();
        self.resources.push(ResourceSection { place, name: name.to_owned(), entries });
    }

    fn take_foreign(&mut self, place: ValueLocation, section: &str) {
        let fault = Problem::new("is not evaluated", "remove it, or leave it for later");
        self.warnings.push(Diagnostic::new(place, &format!("[{section}]"), fault));
    }

    pub(super) fn take_variables(&mut self) {
        let ours = |(name, value): &&(String, String)| {
            name.starts_with(VARIABLE_PREFIX)
                && !value.is_empty()
                && !RESERVED_VARIABLES.contains(&name.as_str())
        };
        for (name, value) in self.source.variables.iter().filter(ours) {
            let place = ValueLocation::Variable(name.clone());
            if let Some(key) = KEYS.iter().find(|key| key.variable() == *name) {
                self.put(key, GivenValue::new(place, name, value, value.clone()));
            } else if name == "TAGCAST_ADRESS" {
                self.take_entry(place, "", "adress", value);
            } else if !is_of_a_container(name, value) {
                self.warnings.push(unknown_variable(place, name));
            }
        }
    }

    /// The variable that other programs read too counts where nothing else names a receiver.
    pub(super) fn take_otlp_variable(&mut self) {
        let Some(key) = find("", "otlpEndpoint") else { return };
        if let Some(value) = self.variable(OTLP_VARIABLE).filter(|value| !value.is_empty())
            && self.place("", key.name).is_none()
        {
            let place = ValueLocation::Variable(OTLP_VARIABLE.to_owned());
            self.put(key, GivenValue::new(place, OTLP_VARIABLE, value, value.to_owned()));
        }
    }

    pub(super) fn take_flags(&mut self) {
        for (name, value) in &self.source.flags {
            let (section, key) = name.split_once('.').unwrap_or(("", name));
            self.take_entry(ValueLocation::Flag, &folded(section), key, value);
        }
    }

    fn take_entry(&mut self, place: ValueLocation, section: &str, name: &str, value: &str) {
        let Some(key) = find(section, name) else {
            return self.unknown_key(place, section, name);
        };
        if key.name == "uuidKey" && place == ValueLocation::Flag {
            let what = "would be visible to all users in the process list";
            let right = "use uuidKeyFile, the file, or the variable";
            return self.find_fault(place, name, Problem::new(what, right));
        }
        match self.substituted(value) {
            Ok(text) => self.put(key, GivenValue::new(place, name, value, text)),
            Err(fault) => self.find_fault(place, name, fault),
        }
    }

    fn unknown_key(&mut self, place: ValueLocation, section: &str, name: &str) {
        let right = match nearest(name) {
            Some(key) if folded(key.name) == folded(name) && !key.section.is_empty() => {
                format!("it belongs in [{}]", key.section)
            }
            Some(key) if folded(key.name) == folded(name) => {
                "it belongs above all sections".to_owned()
            }
            Some(key) => format!("did you mean `{}`?", key.flag()),
            None => "see docs/configuration.md".to_owned(),
        };
        let what = if section.is_empty() { "unknown key" } else { "unknown key in this section" };
        self.find_fault(place, name, Problem::new(what, right));
    }

    /// Returns an environment variable that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&'a str> {
        let mut all = self.source.variables.iter().filter(|(_, value)| !value.is_empty());
        all.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Expands variables from the environment of the process, then from the first definition in
    /// `.env`.
    fn substituted(&mut self, text: &str) -> Result<String, Problem> {
        if !has_variables(text) {
            return Ok(text.to_owned());
        }
        let of_process = |name: &str| self.source.variables.iter().find(|(known, _)| known == name);
        let room = self.expansion.min(EXPANDED_BYTES_MAX);
        let done = substitute(text, room, |name| {
            of_process(name).map(|(_, value)| value.as_str()).or_else(|| self.dot_env.get(name))
        })?;
        self.expansion = self.expansion.saturating_sub(done.len());
        Ok(done)
    }

    fn put(&mut self, key: &'static ConfigKey, value: GivenValue) {
        let slot = (key.section, key.name);
        if let Some(GivenValue { place: before, .. }) = self.values.get(&slot)
            && before.rank() == value.place.rank()
            && value.place != ValueLocation::Flag
        {
            let what = format!("was already set at {before}");
            let fault = Problem::new(what, "set it once");
            return self.find_fault(value.place, &value.key, fault);
        }
        self.values.insert(slot, value);
    }
}

/// Creates a finding about an unknown variable. It is only a warning, because another program whose
/// name begins with ours may use the variable.
fn unknown_variable(place: ValueLocation, name: &str) -> Diagnostic {
    let variables: Vec<String> = KEYS.iter().map(ConfigKey::variable).collect();
    let known: Vec<&str> =
        variables.iter().filter_map(|known| known.strip_prefix(VARIABLE_PREFIX)).collect();
    let own = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
    let right = match nearest_of(own, &known) {
        Some(near) => format!("did you mean `{VARIABLE_PREFIX}{near}`?"),
        None => "see docs/configuration.md".to_owned(),
    };
    Diagnostic::new(
        place,
        "",
        Problem::new("is not a variable of this program and is ignored", right),
    )
}

/// Returns the section names as they are written.
fn sections() -> Vec<String> {
    let mut all = vec![format!("[{OWN_SECTION}]")];
    for key in KEYS.iter().filter(|key| !key.section.is_empty()) {
        let section = format!("[{}]", key.section);
        if !all.contains(&section) {
            all.push(section);
        }
    }
    all
}
