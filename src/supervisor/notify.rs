//! Notifications to systemd (`Type=notify`): ready, reloading, stopping and the watchdog. Without
//! systemd they do nothing.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};

/// Reports that the server is ready.
pub(super) fn ready() {
    send(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Reports that the configuration is being reloaded. [`ready`] must follow.
pub(super) fn reloading() {
    // Without this timestamp systemd cannot tell which READY belongs to the reload.
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, moment]);
    }
}

/// Reports that the server is shutting down, with the maximum time for that.
pub(super) fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("draining"),
    ]);
}

/// Reports that the supervisor is alive.
pub(super) fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Returns the interval between two calls of [`alive`], half of the interval that systemd requires.
pub(super) fn alive_every() -> Option<Duration> {
    watchdog_enabled().map(|within| within / 2).filter(|every| !every.is_zero())
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "failed to notify systemd");
    }
}
