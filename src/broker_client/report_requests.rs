//! Which publications are counted, until the broker has reported how many clients they reached.

use std::collections::VecDeque;

use crate::types::{Address, Number, Recipients, Slot};

/// In the order of their numbers; the window bounds them (rule L4).
#[derive(Debug, Default)]
pub(crate) struct ReportRequests(VecDeque<(Number, ReportRequester)>);

/// The client that gets the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRequester {
    /// Its slot.
    pub slot: Slot,
    /// By what it named the recipients.
    pub naming: RecipientForm,
}

/// By what the recipients of a publication are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientForm {
    /// By a text in the place of a UUID that this server did not issue: at best an alias.
    AliasOnly,
    /// By anything else.
    Usual,
}

impl RecipientForm {
    /// By what an address names.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        match &address.recipients {
            Recipients::Named(named)
                if named.uuid.is_none() && named.ident.is_none() && named.alias.is_some() =>
            {
                Self::AliasOnly
            }
            _ => Self::Usual,
        }
    }
}

impl ReportRequests {
    pub(crate) fn ask(&mut self, number: Number, asker: ReportRequester) {
        self.0.push_back((number, asker));
    }

    /// The client that gets the count of this publication; none when it has left.
    pub(crate) fn answered(&mut self, number: Number) -> Option<ReportRequester> {
        let is_past = |(asked, _): &mut (Number, ReportRequester)| *asked <= number;
        let mut found = None;
        while let Some((asked, asker)) = self.0.pop_front_if(is_past) {
            found = (asked == number).then_some(asker);
        }
        found
    }

    /// Forgets what a client has asked that is gone: its slot may be another one's soon.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.0.is_empty() {
            self.0.retain(|(_, asker)| asker.slot != slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(slot: u32) -> ReportRequester {
        ReportRequester { slot: Slot(slot), naming: RecipientForm::Usual }
    }

    #[test]
    fn a_count_reaches_the_client_that_asked_and_none_that_came_later() {
        let mut counted = ReportRequests::default();
        for (number, slot) in [(1, 7), (3, 8), (4, 7), (9, 7)] {
            counted.ask(Number(number), asker(slot));
        }
        assert_eq!(counted.answered(Number(1)), Some(asker(7)));
        assert_eq!(counted.answered(Number(1)), None);
        assert_eq!(counted.answered(Number(4)), Some(asker(7)));
        counted.forget(Slot(7));
        assert_eq!(counted.answered(Number(9)), None);
    }
}
