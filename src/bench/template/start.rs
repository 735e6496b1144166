//! Starts the server of a template.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{ServerTemplate, TemplatePlace};
use crate::bench::error::{At, BenchError};
use crate::bench::server::{folder, private};
use crate::bench::target::{BenchProtocol, BenchTarget};
use crate::client::ClientCredentials;

/// File with the output of the server, in its folder.
pub(in crate::bench) const OUTPUT: &str = "output.log";

/// A server that was started.
#[derive(Debug)]
pub(in crate::bench) struct StartedTemplate {
    pub(in crate::bench) child: Child,
    pub(in crate::bench) folder: PathBuf,
    pub(in crate::bench) target: BenchTarget,
}

impl ServerTemplate {
    /// Starts the server. Does not wait for it.
    pub(in crate::bench) fn start(&self) -> Result<StartedTemplate, BenchError> {
        let TemplatePlace::Started { command, files } = &self.place else {
            return Err(self.wrong("[server] start: is missing"));
        };
        let folder = folder().at("making a folder for the server")?;
        let port = free_port().at("finding a free port")?;
        let mut values = StartValues {
            port,
            here: self.folder.clone(),
            folder: folder.clone(),
            secret: uuid::Uuid::new_v4().to_string(),
            config: PathBuf::new(),
        };
        for file in files.iter().rev() {
            values.config = self.copy(file, &values)?;
        }
        let words: Vec<String> = command.iter().map(|word| values.fill(word)).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(self.wrong("[server] start: is empty; write a command"));
        };
        let output = File::create(folder.join(OUTPUT)).at("making a file for its output")?;
        let errors = output.try_clone().at("making a file for its output")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|error| {
            let help = match error.kind() {
                ErrorKind::NotFound => "install it, or write its whole path",
                _ => "check the command",
            };
            self.wrong(&format!("[server] start: `{program}`: {error}; {help}"))
        })?;
        let target = self.target(&format!("ws://127.0.0.1:{port}/"))?;
        Ok(StartedTemplate { child, folder, target })
    }

    /// Returns the target at this URL.
    pub(in crate::bench) fn target(&self, url: &str) -> Result<BenchTarget, BenchError> {
        let url = url.parse().map_err(|error| self.wrong(&format!("[server] url: {error}")))?;
        let target = BenchTarget::new(BenchProtocol::Template, url, ClientCredentials::default())?;
        Ok(target.with_dialect(&self.dialect))
    }

    /// Returns an error that names the file.
    pub(in crate::bench) fn wrong(&self, what: &str) -> BenchError {
        BenchError::Plan(format!("{}: {what}", self.file.display()))
    }

    /// Copies a configuration file with its placeholders filled in.
    fn copy(&self, file: &Path, values: &StartValues) -> Result<PathBuf, BenchError> {
        let named = |error: &dyn std::fmt::Display| {
            self.wrong(&format!("[server] config: {}: {error}", file.display()))
        };
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        let name = file.file_name().ok_or_else(|| named(&"is not a file"))?;
        let copy = values.folder.join(name);
        private(&copy, &values.fill(&text)).map_err(|error| named(&error))?;
        Ok(copy)
    }
}

/// Values of the placeholders of a command line and of configuration files.
struct StartValues {
    port: u16,
    /// Folder of the template.
    here: PathBuf,
    /// Folder of this run, which is removed afterwards.
    folder: PathBuf,
    secret: String,
    /// The first configuration file.
    config: PathBuf,
}

impl StartValues {
    fn fill(&self, text: &str) -> String {
        let tagcast = std::env::current_exe().unwrap_or_default();
        [
            ("{port}", self.port.to_string()),
            ("{here}", self.here.display().to_string()),
            ("{folder}", self.folder.display().to_string()),
            ("{secret}", self.secret.clone()),
            ("{config}", self.config.display().to_string()),
            ("{tagcast}", tagcast.display().to_string()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
