//! `tagcast subscribe`: prints one line per message.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::thread;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::connect_args;
use super::connect_args::{ConnectArguments, ResolvedServer};
use super::failure::Failure;
use super::print_error;
use crate::client::{StopHandle, Subscriber};
use crate::types::Tag;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast subscribe --tag language=FR
  tagcast subscribe --json | jq .percent
  tagcast subscribe --tag room=1 --count 1 --url wss://example.org/ --key chat

Messages to all clients are printed too.
Exits 0 on Ctrl-C and 69 if the server closes the connection.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
pub(super) struct SubscribeArguments {
    /// Receive messages to this tag; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = connect_args::tag)]
    tag: Vec<Tag>,
    /// Print each message as JSON, even if it is text
    #[arg(long)]
    json: bool,
    /// Exit after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    server: ConnectArguments,
}

pub(super) fn run(arguments: &SubscribeArguments) -> ExitCode {
    match subscribe(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(""),
    }
}

fn subscribe(arguments: &SubscribeArguments) -> Result<(), Failure> {
    let tags = connect_args::tags(&arguments.tag).map_err(Failure::data)?;
    let ResolvedServer { url, access } = arguments.server.find()?;
    let mut subscriber = Subscriber::connect(&url, &access, &tags)?;
    let broken =
        |error: io::Error| Failure::unavailable(format!("failed to watch signals: {error}"));
    let stop = subscriber.stop().map_err(broken)?;
    stop_on_signal(stop).map_err(broken)?;
    print_error(&format!("tagcast: subscribed at {url}"));
    let ended = print_messages(&mut subscriber, arguments);
    if ended.is_ok() {
        subscriber.close();
    }
    ended
}

/// Returns after `--count` messages, at a signal, or when standard output is closed.
fn print_messages(
    subscriber: &mut Subscriber,
    arguments: &SubscribeArguments,
) -> Result<(), Failure> {
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        let received = subscriber.receive()?;
        let Some(message) = received else { return Ok(()) };
        let line = if arguments.json { message.json_line() } else { message.print_line() };
        match print(&line) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed.map_err(|error| {
                Failure::unavailable(format!("failed to write to standard output: {error}"))
            })?,
        }
        left -= 1;
    }
    Ok(())
}

/// Prints the line and flushes it, so that a pipe receives it immediately.
fn print(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Stops on Ctrl-C and SIGTERM, from a thread of its own.
fn stop_on_signal(stop: StopHandle) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        drop(stop);
    })?;
    Ok(())
}
