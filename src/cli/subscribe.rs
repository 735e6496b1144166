//! `tagcast subscribe`: prints one line per message.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::Args;
use tagcast_client::blocking::Client;
use tagcast_client::{Event, Recovery, RecoveryReason, Status};
use tokio::signal::unix::{SignalKind, signal};

use super::connect_args;
use super::connect_args::{ConnectArguments, ResolvedServer};
use super::failure::Failure;
use super::print_error;
use crate::client::{Received, following, printable};
use crate::types::Tag;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast subscribe --tag language=FR
  tagcast subscribe --json | jq .percent
  tagcast subscribe --tag room=1 --count 1 --url wss://example.org/ --key chat

Messages to all clients are printed too. A lost connection is made again; standard error says what may be missing.
Exits 0 on Ctrl-C.
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
    let client = following::follow(&url, &access, &tags)?;
    let is_stopped = Arc::new(AtomicBool::new(false));
    stop_on_signal(client.clone(), Arc::clone(&is_stopped))
        .map_err(|error| Failure::unavailable(format!("failed to watch signals: {error}")))?;
    print_error(&format!("tagcast: subscribed at {url}"));
    let ended = print_events(&client, &is_stopped, arguments);
    client.close();
    ended
}

/// Returns after `--count` messages, at a signal, or when standard output is closed.
fn print_events(
    client: &Client,
    is_stopped: &AtomicBool,
    arguments: &SubscribeArguments,
) -> Result<(), Failure> {
    let mut left = arguments.count.unwrap_or(u64::MAX);
    for event in client.events() {
        // The stop also takes effect while messages arrive faster than they are printed.
        if is_stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Event::Message(message) = event else {
            report(event)?;
            continue;
        };
        let message = Received::new(message.json());
        let line = if arguments.json { message.json_line() } else { message.print_line() };
        match print(&line) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed.map_err(|error| {
                Failure::unavailable(format!("failed to write to standard output: {error}"))
            })?,
        }
        left -= 1;
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// Says on standard error what happens to the connection. Fails if the server has ended it for good.
fn report(event: Event) -> Result<(), Failure> {
    match event {
        Event::Recovery(recovery) => lines_about(&recovery).iter().for_each(|it| print_error(it)),
        Event::Status(Status::Waiting { lost, .. }) => {
            let lost = printable(&lost.to_string());
            print_error(&format!("tagcast: the connection is lost ({lost}), connecting again"));
        }
        Event::Status(Status::Closed { lost: Some(lost) }) => {
            return Err(following::ended(&lost).into());
        }
        _ => {}
    }
    Ok(())
}

/// Says what arrived late, and what may be missing. The first connection of a client has missed nothing.
fn lines_about(recovery: &Recovery) -> Vec<String> {
    let mut lines = Vec::new();
    if recovery.replayed > 0 {
        let plural = if recovery.replayed == 1 { "" } else { "s" };
        lines.push(format!("tagcast: {} message{plural} recovered", recovery.replayed));
    }
    if !recovery.is_recovered {
        let why = match &recovery.reason {
            Some(RecoveryReason::Off) => "the server keeps no history",
            Some(RecoveryReason::Lost) => "the server was restarted",
            Some(RecoveryReason::Expired) => "the connection was lost for too long",
            Some(RecoveryReason::New) => "the server no longer knows this client",
            Some(RecoveryReason::Evicted | RecoveryReason::Mailbox | RecoveryReason::Overrun) => {
                "more was published meanwhile than the server keeps"
            }
            Some(RecoveryReason::Gap) => "a host of the server was cut off",
            Some(other) => other.as_str(),
            None => "the server does not say why",
        };
        lines.push(format!("tagcast: messages may be missing: {}", printable(why)));
    }
    lines
}

/// Prints the line and flushes it, so that a pipe receives it immediately.
fn print(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Stops on Ctrl-C and SIGTERM, from a thread of its own.
fn stop_on_signal(client: Client, is_stopped: Arc<AtomicBool>) -> io::Result<()> {
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
        is_stopped.store(true, Ordering::Relaxed);
        client.close();
    })?;
    Ok(())
}
