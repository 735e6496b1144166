//! Notifications to systemd (`Type=notify`): ready, reloading, stopping, and the watchdog.
//! Nothing happens where no systemd asks for it.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};

/// The server serves.
pub(super) fn ready() {
    send(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is read again; [`ready`] follows.
pub(super) fn reloading() {
    // Without the moment systemd does not know which READY belongs to it.
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, moment]);
    }
}

/// The server ends, and may take so long.
pub(super) fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("draining"),
    ]);
}

/// The supervisor lives.
pub(super) fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often to send [`alive`]: twice as often as systemd requires.
pub(super) fn alive_every() -> Option<Duration> {
    watchdog_enabled().map(|within| within / 2).filter(|every| !every.is_zero())
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
