//! The configuration as it may be displayed: the value of each key, and where it comes from.

use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostic;
use super::{EffectiveValues, KEYS, TlsSettings};

/// What is displayed in place of a secret.
const HIDDEN: &str = "•••";

/// The configuration without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// Path of the file. `None` without a file.
    pub file: Option<String>,
    /// All keys in the order of the documentation.
    pub keys: Vec<ConfigReportRow>,
    /// Unix second from which the certificate is not valid any more.
    pub certificate_expires: Option<u64>,
    /// Warnings about the configuration.
    pub warnings: Vec<String>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReportRow {
    /// The key, with its section as in a flag.
    pub key: String,
    /// The value as it was written, or the default.
    pub value: String,
    /// The default.
    pub default: String,
    /// File and line, variable, `flag`, or `default`.
    pub source: String,
    /// Whether a change takes effect only after a restart.
    pub needs_restart: bool,
}

impl ConfigReport {
    /// Creates a report with the certificate alone.
    pub(super) fn of_certificate(tls: Option<&TlsSettings>) -> Self {
        Self { certificate_expires: tls.and_then(TlsSettings::expires), ..Self::default() }
    }

    /// Creates the report of these values.
    pub(super) fn new(
        file: Option<&std::path::Path>,
        values: &EffectiveValues,
        warnings: &[Diagnostic],
        tls: Option<&TlsSettings>,
    ) -> Self {
        let row = |key| {
            let is_secret = matches!(values.shown(key), "(secret)");
            ConfigReportRow {
                key: key.flag(),
                value: if is_secret { HIDDEN } else { values.shown(key) }.to_owned(),
                default: key.default.to_owned(),
                source: values.source(key).to_owned(),
                needs_restart: !key.reloadable,
            }
        };
        Self {
            file: file.map(|file| file.display().to_string()),
            keys: KEYS.iter().map(row).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            ..Self::of_certificate(tls)
        }
    }
}
