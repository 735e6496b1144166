//! Waits of a load generator that publishes at a fixed rate.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::thread::set_current_timer_slack;

use crate::reactor::poller::{Poller, Ready};

/// Waits that are shorter are precise. Epoll alone sleeps in whole milliseconds.
const PRECISE: Duration = Duration::from_millis(2);
/// How late the kernel may end a precise wait, to join it with another one.
const SLACK_NANOS: NonZeroU64 = NonZeroU64::MIN;

/// Lets precise waits of this thread end on time.
///
/// # Errors
///
/// If the kernel cannot do this.
pub(super) fn be_precise() -> io::Result<()> {
    Ok(set_current_timer_slack(Some(SLACK_NANOS))?)
}

/// How a generator waits: [`spin`] or [`wait`].
pub(super) type GeneratorWait = fn(&mut Poller, Duration, &mut Vec<Ready>) -> io::Result<()>;

/// Waits until a descriptor is ready or the time is over. A long wait ends early, and a short one does not sleep: the
/// generator looks for deliveries all the time, and so has them as early as it can. It has a core of its own.
///
/// # Errors
///
/// The same as of [`Poller::wait`].
pub(super) fn spin(
    poller: &mut Poller,
    within: Duration,
    ready: &mut Vec<Ready>,
) -> io::Result<()> {
    let within = if within < PRECISE { Duration::ZERO } else { within - PRECISE / 2 };
    poller.wait(Some(within), ready)
}

/// Waits like [`spin`], but sleeps in short waits, because another load has the same core.
///
/// # Errors
///
/// The same as of [`Poller::wait`].
pub(super) fn wait(
    poller: &mut Poller,
    within: Duration,
    ready: &mut Vec<Ready>,
) -> io::Result<()> {
    spin(poller, within, ready)?;
    if within >= PRECISE || within.is_zero() || !ready.is_empty() {
        return Ok(());
    }
    let within = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
    match poll(&mut [PollFd::new(&*poller, PollFlags::IN)], Some(&within)) {
        Ok(0) => Ok(()),
        Ok(_) | Err(Errno::INTR) => poller.wait(Some(Duration::ZERO), ready),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::clock::RunClock;
    use crate::reactor::poller::Interest;
    use crate::reactor::waker::Waker;
    use std::os::fd::AsFd;

    #[test]
    fn a_short_wait_ends_at_an_event_or_on_time() {
        be_precise().unwrap();
        let (clock, waker) = (RunClock::start(), Waker::new().unwrap());
        let mut poller = Poller::new(4).unwrap();
        poller.watch(waker.as_fd(), 7, Interest::Read).unwrap();
        let (mut ready, within) = (Vec::new(), Duration::from_micros(300));
        let begun = clock.nanos();
        wait(&mut poller, within, &mut ready).unwrap();
        assert!(ready.is_empty() && clock.nanos() - begun >= 300_000);
        waker.wake();
        wait(&mut poller, within, &mut ready).unwrap();
        assert_eq!(ready.iter().map(|event| event.token).collect::<Vec<_>>(), [7]);
    }
}
