//! The command line, with one file per command.

mod admin;
mod api_args;
mod app;
mod bench;
mod check;
mod cluster;
mod completions;
mod config_args;
mod connect_args;
mod connections;
mod disconnect;
mod doctor;
mod embed;
mod explain;
mod failure;
mod health;
mod legacy_args;
mod local_server;
mod man;
mod operator;
mod publish;
mod retag;
mod serve;
mod subscribe;
mod token;
mod top;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::config_args::ConfigArguments;
use self::failure::{EXIT_CONFIG, EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE};
use crate::admin::AdminRequest;
use crate::resource::ResourceFactories;
use crate::server::Role;

/// Last lines of a help text: examples and a reference to the exit codes.
macro_rules! after {
    ($text:literal) => {
        concat!($text, "\n\nExit codes: docs/operations.md#exit-codes")
    };
}
use after;

/// Deliver messages to WebSocket clients: to one, by tags, or to all.
#[derive(Debug, Parser)]
#[command(name = "tagcast", version, after_help = after!("Example: tagcast serve"))]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    #[command(after_help = after!("Example: tagcast serve -i /etc/tagcast/websock.ini --workers 4"))]
    Serve(ConfigArguments),
    /// Check the configuration and report all errors.
    #[command(after_help = after!("Example: tagcast check -i websock.ini"))]
    Check(ConfigArguments),
    /// Look for problems of the machine, the configuration and the way of clients to the server.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArguments),
    /// Show processes, connections, memory and configuration.
    #[command(after_help = after!("Example: tagcast status --json -i /etc/tagcast/websock.ini"))]
    Status(admin::StatusArguments),
    /// Show the hosts of the cluster, as this one sees them.
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(cluster::ClusterArguments),
    /// Watch processes, applications, outboxes and events.
    #[command(after_help = top::EXAMPLES)]
    Top(top::TopArguments),
    /// Tell whether the server takes traffic, for load balancers and containers.
    #[command(after_help = health::EXAMPLES)]
    Health(health::HealthArguments),
    /// Reload websock.ini, auth.yml and certificates, like SIGHUP.
    #[command(after_help = after!("Example: tagcast reload -i /etc/tagcast/websock.ini"))]
    Reload(admin::Which),
    /// Close all connections over the drain time and exit, like SIGTERM.
    #[command(after_help = after!("Example: tagcast drain -i /etc/tagcast/websock.ini"))]
    Drain(admin::Which),
    /// Replace the workers one by one, without refusing a connection.
    #[command(after_help = after!("Example: tagcast restart-workers -i /etc/tagcast/websock.ini"))]
    RestartWorkers(admin::Which),
    /// Change the log level of all processes for a limited time.
    #[command(after_help = after!("Example: tagcast log-level debug --for 5m"))]
    LogLevel(admin::LevelArguments),
    /// Publish a message to one client, by tags, or to all clients.
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::PublishArguments),
    /// Print published messages, one line each.
    #[command(after_help = subscribe::EXAMPLES)]
    Subscribe(subscribe::SubscribeArguments),
    /// List the connections that an application reaches.
    #[command(after_help = connections::EXAMPLES)]
    Connections(connections::ConnectionsArguments),
    /// Show what a tag expression means, and why a client matches it.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArguments),
    /// Change tags of connected clients.
    #[command(after_help = retag::EXAMPLES)]
    Retag(retag::RetagArguments),
    /// Close connections.
    #[command(after_help = disconnect::EXAMPLES)]
    Disconnect(disconnect::DisconnectArguments),
    /// Manage the applications that may use the server.
    #[command(subcommand, after_help = after!("Example: tagcast app add shop"))]
    App(app::AppCommand),
    /// Create and verify connection tokens.
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::TokenCommand),
    /// Manage the operators, who may look after the server by HTTP.
    #[command(subcommand, after_help = after!("Example: tagcast operator add anna --role operator --password"))]
    Operator(operator::OperatorCommand),
    /// Measure deliveries, latency and memory of a server.
    #[command(subcommand, after_help = bench::EXAMPLES)]
    Bench(bench::BenchCommand),
    /// Print the completions of a shell.
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArguments),
    /// Write the man pages of all commands into a folder.
    #[command(after_help = man::EXAMPLES)]
    Man(man::ManArguments),
    /// Print the version.
    #[command(after_help = "Example: tagcast version")]
    Version,
}

/// Runs the command in the arguments, or the role of a child of the supervisor.
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
            // The error is ignored, because the terminal may be gone.
            let _gone = error.print();
            return ExitCode::from(code);
        }
    };
    match line.command {
        Command::Serve(settings) => serve::run(&settings),
        Command::Check(settings) => check::run(&settings),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Status(arguments) => admin::status(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Reload(which) => admin::order(&which, &AdminRequest::Reload),
        Command::Drain(which) => admin::order(&which, &AdminRequest::Drain),
        Command::RestartWorkers(which) => admin::order(&which, &AdminRequest::RestartWorkers),
        Command::LogLevel(arguments) => admin::log_level(&arguments),
        Command::Publish(arguments) => publish::run(&arguments),
        Command::Subscribe(arguments) => subscribe::run(&arguments),
        Command::Connections(arguments) => connections::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Retag(arguments) => retag::run(&arguments),
        Command::Disconnect(arguments) => disconnect::run(&arguments),
        Command::App(command) => app::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Operator(command) => operator::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Version => {
            print_line(&format!("tagcast {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

/// Prints a line to standard output. A reader such as `head` closes the pipe when it has enough; the rest is then not
/// printed.
fn print_line(text: &str) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_error(&format!("tagcast: failed to write to standard output: {error}"));
        }
        _ => {}
    }
}

/// Prints a line to standard error. A closed terminal is ignored.
fn print_error(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
