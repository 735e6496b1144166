//! Counts of joins that show a resume token.

use crate::types::{RecoveryReason, ResumeStanding};

/// Counts of joins that show a resume token, and of what the clients may have missed.
#[derive(Debug, Default)]
pub(super) struct ResumeCounts {
    pub(super) resumed: u64,
    pub(super) taken: u64,
    pub(super) outdated: u64,
    /// Records that have come from other hosts.
    pub(super) moved: u64,
    /// Clients that got everything that they had missed.
    pub(super) recovered: u64,
    /// Others that have asked for it, by the reason for which they may have missed publications.
    recoveries: [u64; RecoveryReason::ALL.len()],
}

impl ResumeCounts {
    /// Counts a join.
    pub(super) fn note(&mut self, standing: ResumeStanding) {
        match standing {
            ResumeStanding::New => {}
            ResumeStanding::Taken => self.taken += 1,
            ResumeStanding::Outdated => self.outdated += 1,
            ResumeStanding::Resumed => self.resumed += 1,
        }
    }

    /// Counts a client that has asked for what it had missed. `None`: it got everything.
    pub(super) fn note_recovery(&mut self, reason: Option<RecoveryReason>) {
        self.recovered += u64::from(reason.is_none());
        let reasons = RecoveryReason::ALL.iter().zip(&mut self.recoveries);
        reasons.filter(|(it, _)| Some(**it) == reason).for_each(|(_, count)| *count += 1);
    }

    /// Returns the recoveries by reason.
    pub(super) fn recoveries(&self) -> impl Iterator<Item = (RecoveryReason, u64)> {
        RecoveryReason::ALL.into_iter().zip(self.recoveries)
    }
}
