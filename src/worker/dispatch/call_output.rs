//! Dependency of the replies of a call on what the call has sent to the broker.

use crate::resource::Effect;

/// Dependency between a call's messages to the broker and its replies to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutput {
    /// No dependency.
    Nothing,
    /// A publication was sent to the broker. No reply to the client depends on it yet.
    Publication,
    /// A reply to the client is true only after the broker has done its part. After a change of
    /// tags or alias this applies to all later replies.
    AboutIt,
}

impl CallOutput {
    pub(super) fn and(self, effect: &Effect) -> Self {
        match (self, effect) {
            (Self::Nothing, Effect::Publish { .. }) => Self::Publication,
            (
                _,
                Effect::Retag(_)
                | Effect::RetagByToken(_)
                | Effect::Register { claim: Some(_), .. },
            )
            | (
                Self::Publication,
                Effect::ReplyText(_) | Effect::ReplyBinary(_) | Effect::Reply(_) | Effect::Close(_),
            ) => Self::AboutIt,
            (output, _) => output,
        }
    }
}
