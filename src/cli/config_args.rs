//! The flags that `serve` and `check` share, and the configuration built from them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_CONFIG, print_error};
use crate::config;
use crate::config::{ConfigSources, Loaded};

/// Returns the configuration sources: the file, the environment variables of this process and the
/// flags.
pub(super) fn source(ini: Option<PathBuf>, flags: Vec<(String, String)>) -> ConfigSources {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let folder = std::env::current_dir().unwrap_or_default();
    ConfigSources { ini, variables: variables.collect(), flags, folder }
}

#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// Configuration file [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    /// Addresses to listen on, for example ws://127.0.0.1:8094
    #[arg(long, alias = "adress", value_name = "LIST")]
    address: Option<String>,
    /// Number of workers, or `auto` (one per core)
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Also log to the console: on or off
    #[arg(long, value_name = "SWITCH", num_args = 0..=1, default_missing_value = "on")]
    console: Option<String>,
    /// File to log to
    #[arg(long, value_name = "FILE")]
    logfile: Option<String>,
    /// File with the applications, or `none`
    #[arg(long, value_name = "FILE")]
    auth_file: Option<String>,
    /// Set any configuration key, for example --set maxMessage=1M
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArguments {
    /// Reads the configuration and prints all errors and warnings.
    pub(super) fn load(&self) -> Result<Loaded, ExitCode> {
        let (loaded, _) = self.load_with_source()?;
        for warning in &loaded.warnings {
            print_error(&format!("warning: {warning}"));
        }
        Ok(loaded)
    }

    /// Like [`ConfigArguments::load`], with the sources for a reload. Warnings are left to the log.
    pub(super) fn load_with_source(&self) -> Result<(Loaded, ConfigSources), ExitCode> {
        let source = source(self.ini.clone(), self.flags()?);
        let loaded = config::load(&source).map_err(|findings| {
            print_error(&findings.to_string());
            let count = findings.0.len();
            print_error(&format!(
                "tagcast: {count} error{} in the configuration",
                if count == 1 { "" } else { "s" }
            ));
            ExitCode::from(EXIT_CONFIG)
        })?;
        Ok((loaded, source))
    }

    fn flags(&self) -> Result<Vec<(String, String)>, ExitCode> {
        let named = [
            ("address", &self.address),
            ("workers", &self.workers),
            ("console", &self.console),
            ("logfile", &self.logfile),
            ("authFile", &self.auth_file),
        ];
        let mut flags: Vec<(String, String)> = Vec::new();
        for (key, value) in named {
            flags.extend(value.iter().map(|value| (key.to_owned(), value.clone())));
        }
        for set in &self.set {
            let Some((key, value)) = set.split_once('=') else {
                print_error(&format!("--set {set}: write it as --set key=value"));
                return Err(ExitCode::from(EXIT_CONFIG));
            };
            flags.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(flags)
    }
}
