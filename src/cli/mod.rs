//! The command line: one file a command.

mod admin;
mod app;
mod bench;
mod check;
mod config_args;
mod connect_args;
mod embed;
mod failure;
mod legacy_args;
mod local_server;
mod publish;
mod serve;
mod subscribe;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::config_args::ConfigArguments;
use self::failure::{EXIT_CONFIG, EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE};
use crate::admin::AdminRequest;
use crate::resource::ResourceFactories;
use crate::server::Role;

/// A help text's last lines: examples, and where people find what exit codes mean.
macro_rules! after {
    ($text:literal) => {
        concat!($text, "\n\nExit codes: docs/operations.md#exit-codes")
    };
}

/// Self-hosted real-time messages over WebSockets: to one client, to tags, to all.
#[derive(Debug, Parser)]
#[command(name = "tagcast", version, about, after_help = after!("Begin with: tagcast serve"))]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients until SIGTERM or Ctrl-C.
    #[command(after_help = after!("Example: tagcast serve -i /etc/tagcast/websock.ini --workers 4"))]
    Serve(ConfigArguments),
    /// Check the configuration and say everything that is wrong with it.
    #[command(after_help = after!("Example: tagcast check -i websock.ini"))]
    Check(ConfigArguments),
    /// Say what runs: processes, connections, memory, configuration.
    #[command(after_help = after!("Example: tagcast status --json -i /etc/tagcast/websock.ini"))]
    Status(admin::StatusArguments),
    /// Read websock.ini, auth.yml and certificates again; as SIGHUP.
    #[command(after_help = after!("Example: tagcast reload -i /etc/tagcast/websock.ini"))]
    Reload(admin::Which),
    /// Close all connections, spread over the drain time, and end; as SIGTERM.
    #[command(after_help = after!("Example: tagcast drain -i /etc/tagcast/websock.ini"))]
    Drain(admin::Which),
    /// Replace the worker processes one after the other; nobody is refused meanwhile.
    #[command(after_help = after!("Example: tagcast restart-workers -i /etc/tagcast/websock.ini"))]
    RestartWorkers(admin::Which),
    /// Log more or less for a while, in all processes.
    #[command(after_help = "Example: tagcast log-level debug --for 5m -i /etc/tagcast/websock.ini")]
    LogLevel(admin::LevelArguments),
    /// Publish one message to one client, to tags, or to all.
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::PublishArguments),
    /// Print what is published, a line for each message.
    #[command(after_help = subscribe::EXAMPLES)]
    Subscribe(subscribe::SubscribeArguments),
    /// Applications: who may use the server.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Measure a server: deliveries, latency, memory, and whether anything is lost.
    #[command(subcommand, after_help = bench::EXAMPLES)]
    Bench(bench::BenchCommand),
    /// Print the version.
    #[command(after_help = "Example: tagcast version")]
    Version,
}

/// Runs the command that the arguments name; a child of the supervisor plays its role.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    run_with(arguments, &ResourceFactories::default())
}

fn run_with(arguments: Vec<OsString>, own: &ResourceFactories) -> ExitCode {
    if let Some(role) = Role::from_arguments(arguments.clone()) {
        return role.run(own);
    }
    let line = match CommandLine::try_parse_from(legacy_args::modern(arguments)) {
        Ok(line) => line,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nobody to tell when the terminal is gone.
            let _gone = error.print();
            return ExitCode::from(code);
        }
    };
    match line.command {
        Command::Serve(settings) => serve::run(&settings),
        Command::Check(settings) => check::run(&settings),
        Command::Status(arguments) => admin::status(&arguments),
        Command::Reload(which) => admin::order(&which, AdminRequest::Reload),
        Command::Drain(which) => admin::order(&which, AdminRequest::Drain),
        Command::RestartWorkers(which) => admin::order(&which, AdminRequest::RestartWorkers),
        Command::LogLevel(arguments) => admin::log_level(&arguments),
        Command::Publish(arguments) => publish::run(&arguments),
        Command::Subscribe(arguments) => subscribe::run(&arguments),
        Command::App(command) => app::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Version => {
            say(&format!("tagcast {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

/// Prints a line of a command's result.
#[expect(clippy::print_stdout, reason = "this is what standard output is for")]
fn say(text: &str) {
    println!("{text}");
}

/// Prints a line for the person at the terminal, who may be gone.
fn tell(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
