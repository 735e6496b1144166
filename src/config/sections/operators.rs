//! Operators: their file, and whether the metrics need one of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::{Applications, Operator, Operators};
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::layers::ConfigLayers;
use crate::config::operator_file;
use crate::config::parse::switch;
use crate::config::report::ConfigReport;
use crate::config::resolve::path;
use crate::config::{EffectiveValues, TlsSettings};

/// The operators of the server, and what they see of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "two independent keys")]
pub struct OperatorSettings {
    /// The operators. `None`: the operator API is not served.
    pub operators: Option<Operators>,
    /// Whether `/metrics` on the API's own addresses needs an operator.
    pub metrics_auth: bool,
    /// Whether the console is served.
    pub console_page: bool,
    /// The configuration without secrets. Without operators it has the end of the certificate alone.
    pub report: ConfigReport,
}

impl OperatorSettings {
    /// Adds the configuration that operators see.
    pub(in crate::config) fn take_report(
        &mut self,
        file: Option<&Path>,
        values: &EffectiveValues,
        warnings: &[Diagnostic],
        tls: Option<&TlsSettings>,
    ) {
        self.report = match self.operators {
            Some(_) => ConfigReport::new(file, values, warnings, tls),
            None => ConfigReport::of_certificate(tls),
        };
    }

    /// Returns the settings for a process that only needs to know whether there are operators.
    pub(in crate::config) fn without_secrets(&self) -> Self {
        let operators = self.operators.as_ref().map(|_| Operators::default());
        Self { operators, ..Self::default() }
    }
}

/// Reads the keys and the file.
pub(in crate::config) fn read(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
    applications: Option<&Applications>,
) -> OperatorSettings {
    let metrics_auth = given.read("", "metricsAuth", switch).unwrap_or(false);
    let console_page = given.read("", "consolePage", switch).unwrap_or(false);
    let operators = file(given, folder).and_then(|file| {
        let keys: Option<Vec<&str>> =
            applications.map(|all| all.list.iter().map(|it| it.key.as_str()).collect());
        let read = operator_file::load(&file, keys.as_deref());
        given.take_read(read.findings, read.warnings);
        read.operators
    });
    for (name, is_on) in [("metricsAuth", metrics_auth), ("consolePage", console_page)] {
        if !is_on || given.place("", "operatorFile").is_some() {
            continue;
        }
        let place = given.place("", name).unwrap_or(ValueLocation::Default);
        let right = "name a file with operators: operatorFile = operators.yml";
        let fault = Problem::new("needs operators", right);
        given.find_fault(place, name, fault);
    }
    OperatorSettings { operators, metrics_auth, console_page, report: ConfigReport::default() }
}

/// Returns the file of the operators. `None` if the configuration names none.
pub(in crate::config) fn file(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<PathBuf> {
    given.read("", "operatorFile", |text| Ok(path(text, folder))).flatten()
}

/// Describes changes of operators, without passwords and tokens.
pub(in crate::config) fn changes(
    before: &OperatorSettings,
    after: &OperatorSettings,
    tell: &mut impl FnMut(String),
) {
    let (Some(before), Some(after)) = (&before.operators, &after.operators) else { return };
    for operator in &after.list {
        let name = visible(&operator.name);
        match before.named(&operator.name) {
            None => tell(format!("operator `{name}`: added")),
            Some(old) if old != operator => {
                tell(format!("operator `{name}`: another {}", differences(old, operator)));
            }
            Some(_) => {}
        }
    }
    for old in before.list.iter().filter(|old| after.named(&old.name).is_none()) {
        tell(format!("operator `{}`: removed", visible(&old.name)));
    }
}

fn differences(old: &Operator, new: &Operator) -> String {
    let members = [
        ("role", old.role != new.role),
        ("password", old.password != new.password),
        ("token", old.token != new.token),
        ("applications", old.applications != new.applications),
        ("payloads", old.payloads != new.payloads),
    ];
    let changed = members.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name);
    changed.collect::<Vec<&str>>().join(", ")
}
