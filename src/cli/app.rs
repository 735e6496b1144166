//! `tagcast app add`: an application with a key and a secret of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rustix::rand::{GetRandomFlags, getrandom};

use super::settings::source;
use super::{EXIT_CONFIG, say, tell};
use crate::config::{self, Findings, NewApplication, NotAdded, Secret, add_application};

/// What is done with applications.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and a secret, and add them to auth.yml.
    #[command(after_help = "Example: tagcast app add shop --tenant shop")]
    Add(Arguments),
}

/// The application.
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its key: letters, digits, dots, dashes and underscores
    name: String,
    /// The space of its clients; without it they share one with other applications
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Its clients may publish without the secret
    #[arg(long)]
    client_publish: bool,
    /// Opening a connection needs the secret too, not the key alone
    #[arg(long)]
    secret_to_open: bool,
    /// The file [default: the one that the configuration names]
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// The configuration file [default: websock.ini, if there is one]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let Command::Add(arguments) = command;
    let Some(secret) = random_secret() else {
        tell("tagcast: the system gives no random numbers");
        return ExitCode::FAILURE;
    };
    let new = NewApplication {
        key: arguments.name.clone(),
        secret,
        authorize_open: !arguments.secret_to_open,
        client_publish: arguments.client_publish,
        tenant: arguments.tenant.clone(),
    };
    let file = match auth_file(arguments) {
        Ok(file) => file,
        Err(findings) => {
            tell(&findings.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match add_application(&file, &new) {
        Ok(()) => {
            explain(&file, &new);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("tagcast: nothing was added: {error}"));
            match error {
                NotAdded::Unwritable { .. } => ExitCode::FAILURE,
                _ => ExitCode::from(EXIT_CONFIG),
            }
        }
    }
}

/// The file that the server would read.
fn auth_file(arguments: &Arguments) -> Result<PathBuf, Findings> {
    match &arguments.auth_file {
        Some(file) => Ok(file.clone()),
        None => config::auth_file(&source(arguments.ini.clone(), Vec::new())),
    }
}

/// 32 bytes of the system's, in hexadecimal.
fn random_secret() -> Option<Secret> {
    let mut bytes = [0_u8; 32];
    let got = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (got == bytes.len()).then(|| Secret::new(text))
}

fn explain(file: &Path, new: &NewApplication) {
    let (key, secret) = (&new.key, new.secret.expose());
    say(&format!(
        "key:    {key}
secret: {secret}

Added to {file}. `tagcast reload` makes a running server use it.
The secret belongs into backends, never into a page; it is shown here only.

Open a connection:
  ws://127.0.0.1:8094/web?key={key}{open}
Publish from the command line:
  TAGCAST_SECRET={secret} tagcast publish --key {key} --all 'hello'
Publish from a phpWebSocketServer client: beside opcode and message
  \"key\":\"{key}\",\"secret\":\"…\"
Publish from a Gomoob client:
  \"metadata\":{{\"key\":\"{key}\",\"secret\":\"…\"}}",
        file = file.display(),
        open = if new.authorize_open { "" } else { "&secret=…" },
    ));
}
