//! Names and numbers of clients that may resume (`tagcast.v1`).

use std::fmt;

/// Number of a connection of a client, counted from 1 over all connections that it has had. Each `welcome` has the
/// next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResumeGeneration(pub u32);

impl ResumeGeneration {
    /// Returns the number of the next connection.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Keyed digest of the name of an instance: one run of a client program. The name itself is not kept, because a
/// client that knows it takes over the connection of the instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InstanceDigest(pub u64);

impl fmt::Debug for InstanceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceDigest(…)")
    }
}

/// A place in a journal, or in a mailbox where there is no journal. Clients show it as it is, and do not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPosition {
    /// Which journal or mailbox. A later one of the same space or client has another number.
    pub epoch: u32,
    /// Number of the publication in it, from 1. 0 is the place before the first one.
    pub number: u64,
}

impl ReplayPosition {
    /// Reads the text of a position; `None` if the server has not written it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('.').filter(|_| text.len() <= Self::BYTES_MAX)?;
        let read = |part: &str| u64::from_str_radix(part, 36).ok();
        let position = Self { epoch: u32::try_from(read(epoch)?).ok()?, number: read(number)? };
        (position.to_string() == text).then_some(position)
    }

    /// Maximum bytes of the text.
    pub const BYTES_MAX: usize = 24;
}

impl fmt::Display for ReplayPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", in_base_36(self.epoch.into()), in_base_36(self.number))
    }
}

fn in_base_36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        let digit = usize::try_from(number % 36).ok().and_then(|it| DIGITS.get(it));
        digits.push(char::from(digit.copied().unwrap_or(b'0')));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// What a client wants to get again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedRequest {
    /// What was published after its last position; `None` if the server has not written what it shows.
    Since(Option<ReplayPosition>),
    /// This number of the latest publications that match its tags.
    Latest(u32),
}

/// Why a client may have missed publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryReason {
    /// No publications are stored except those in its mailbox, which is complete.
    Off,
    /// The same, and its mailbox had no room for all.
    Mailbox,
    /// The broker that knew the client has ended.
    Lost,
    /// The client was away for too long.
    Expired,
    /// It is a new client, because its token was not accepted.
    New,
    /// It asks for earlier publications, and none are stored.
    Disabled,
    /// Publications that it may have missed are not stored any more.
    Evicted,
    /// The same, and they were dropped while the client waited for them.
    Overrun,
    /// Its tags at that time are not stored any more.
    Retagged,
    /// Publications of another host will never arrive.
    Gap,
}

impl RecoveryReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Off,
        Self::Mailbox,
        Self::Lost,
        Self::Expired,
        Self::New,
        Self::Disabled,
        Self::Evicted,
        Self::Overrun,
        Self::Retagged,
        Self::Gap,
    ];

    /// Returns the `reason` in `recovery`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mailbox => "mailbox",
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::New => "new",
            Self::Disabled => "disabled",
            Self::Evicted => "evicted",
            Self::Overrun => "overrun",
            Self::Retagged => "retagged",
            Self::Gap => "gap",
        }
    }
}

/// Whether a client is the one that it wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeStanding {
    /// It shows no token, or one that its worker does not accept.
    New,
    /// It is a new client, because another connection has the client of its token.
    Taken,
    /// It is a new client, because a later token of that client was shown or confirmed.
    Outdated,
    /// It is the client of its token.
    Resumed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for (epoch, number) in [(0, 0), (1, 35), (u32::MAX, u64::MAX), (46_655, 36)] {
            let position = ReplayPosition { epoch, number };
            let text = position.to_string();
            assert!(text.len() <= ReplayPosition::BYTES_MAX, "{text}");
            assert_eq!(ReplayPosition::read(&text), Some(position));
        }
        for text in ["", "x", ".", "1.", "1.A", "01.2", "1.+2", "zzzzzzzz.1", "1.2.3", "-1.2"] {
            assert_eq!(ReplayPosition::read(text), None, "{text}");
        }
    }
}
