//! The flags that `serve` and `check` share, and the configuration they come to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_CONFIG, tell};
use crate::config;
use crate::config::{ConfigSources, Loaded};

/// The file, this process's variables and the flags.
pub(super) fn source(ini: Option<PathBuf>, flags: Vec<(String, String)>) -> ConfigSources {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let folder = std::env::current_dir().unwrap_or_default();
    ConfigSources { ini, variables: variables.collect(), flags, folder }
}

/// Where the configuration comes from, and what the command line changes in it.
#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// The configuration file [default: websock.ini, if there is one]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    /// Where to listen, for example ws://127.0.0.1:8094
    #[arg(long, alias = "adress", value_name = "LIST")]
    address: Option<String>,
    /// Worker processes, or auto for one a core
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Log to the console too
    #[arg(long, value_name = "SWITCH", num_args = 0..=1, default_missing_value = "on")]
    console: Option<String>,
    /// A file to log to
    #[arg(long, value_name = "FILE")]
    logfile: Option<String>,
    /// The file with the applications, or none
    #[arg(long, value_name = "FILE")]
    auth_file: Option<String>,
    /// Any key of the configuration file, for example --set maxMessage=1M
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArguments {
    /// Reads the configuration; what is wrong or odd is printed, all of it.
    pub(super) fn load(&self) -> Result<Loaded, ExitCode> {
        let (loaded, _) = self.load_with_source()?;
        for warning in &loaded.warnings {
            tell(&format!("warning: {warning}"));
        }
        Ok(loaded)
    }

    /// As [`Settings::load`], with what is needed to read it all again. What is odd is left to the log.
    pub(super) fn load_with_source(&self) -> Result<(Loaded, ConfigSources), ExitCode> {
        let source = source(self.ini.clone(), self.flags()?);
        let loaded = config::load(&source).map_err(|findings| {
            tell(&findings.to_string());
            let count = findings.0.len();
            tell(&format!(
                "tagcast: {count} finding{} in the configuration",
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
                tell(&format!("--set {set}: write it as --set key=value"));
                return Err(ExitCode::from(EXIT_CONFIG));
            };
            flags.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(flags)
    }
}
