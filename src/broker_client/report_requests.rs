//! Requests for recipient counts of publications that the broker has not reported yet.

use std::collections::VecDeque;

use crate::types::{Address, Number, Recipients, Slot};

/// Requests in the order of their publications' numbers. The window limits them (rule L4).
#[derive(Debug, Default)]
pub(crate) struct ReportRequests(VecDeque<(Number, ReportRequester)>);

/// The client that requested the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRequester {
    /// The client's slot.
    pub slot: Slot,
    /// The form in which the client named the recipients.
    pub naming: RecipientForm,
}

/// The form in which the recipients of a publication are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientForm {
    /// A text in place of a UUID, which this server did not issue. It can only be an alias.
    AliasOnly,
    /// Any other form.
    Usual,
}

impl RecipientForm {
    /// Returns the form of an address.
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

    /// Returns the client that requested the count of this publication; `None` if it has left.
    pub(crate) fn answered(&mut self, number: Number) -> Option<ReportRequester> {
        let is_past = |(asked, _): &mut (Number, ReportRequester)| *asked <= number;
        let mut found = None;
        while let Some((asked, asker)) = self.0.pop_front_if(is_past) {
            found = (asked == number).then_some(asker);
        }
        found
    }

    /// Removes the requests of a client that is gone, because its slot may soon belong to another client.
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
    fn a_count_reaches_the_publisher_and_not_its_successor() {
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
