//! The signals of the server, and which of them count.

use std::io;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::now;
use crate::types::limits::SIGNAL_ECHO;

#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    echo: RepeatedSignal,
}

/// A request by a signal.
#[derive(Clone, Copy, Debug)]
pub(super) enum SignalRequest {
    End(&'static str),
    Reload,
}

impl Signals {
    pub(super) fn watch() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        Ok(Self { terminate, interrupt, hang_up, echo: RepeatedSignal::default() })
    }

    pub(super) async fn next(&mut self) -> SignalRequest {
        loop {
            let request = tokio::select! {
                _ = self.terminate.recv() => SignalRequest::End("SIGTERM"),
                _ = self.interrupt.recv() => SignalRequest::End("SIGINT"),
                _ = self.hang_up.recv() => SignalRequest::Reload,
            };
            match request {
                SignalRequest::End(by) if self.echo.is_one(now()) => {
                    tracing::info!(
                        event = "signal_ignored",
                        by,
                        "signal ignored: it repeats the one before"
                    );
                }
                request => return request,
            }
        }
    }
}

/// Repeated signals. One Ctrl-C can reach a server more than once: from the terminal, and from the
/// program that started the server and passes it on. Only a signal after a pause means an immediate
/// shutdown.
#[derive(Debug, Default)]
struct RepeatedSignal {
    first_at: Option<Instant>,
}

impl RepeatedSignal {
    fn is_one(&mut self, now: Instant) -> bool {
        let is_one = self.first_at.is_some_and(|first| now < first + SIGNAL_ECHO);
        if !is_one {
            self.first_at = Some(now);
        }
        is_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_signal_counts_again_after_a_second_however_many_came_before() {
        let (mut echo, begin) = (RepeatedSignal::default(), now());
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(!echo.is_one(at(0)));
        assert!(echo.is_one(at(1)) && echo.is_one(at(500)) && echo.is_one(at(999)));
        assert!(!echo.is_one(at(1000)));
        assert!(echo.is_one(at(1500)));
    }
}
