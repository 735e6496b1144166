//! Options whose values are words. Each type defines its own words.

/// A type whose values are words in the configuration or on the command line.
pub trait WordChoice: Copy + 'static {
    /// All values with their words.
    const WORDS: &'static [(&'static str, Self)];

    /// Returns the value of a word, ignoring case.
    #[must_use]
    fn from_word(text: &str) -> Option<Self> {
        let known = |(word, _): &&(&str, Self)| word.eq_ignore_ascii_case(text);
        Self::WORDS.iter().find(known).map(|(_, value)| *value)
    }

    /// Returns the words as a list for users.
    #[must_use]
    fn words() -> String {
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => words.concat(),
        }
    }
}

/// Defines types whose values are words, one per variant.
macro_rules! word_choices {
    ($($(#[$attribute:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {
        $(
            #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            $(#[$attribute])*
            pub enum $name { $($(#[$of_variant])* $variant),+ }

            impl crate::types::WordChoice for $name {
                const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
            }

            impl $name {
                /// Returns the word of this value.
                #[must_use]
                pub const fn word(self) -> &'static str {
                    match self { $(Self::$variant => $word),+ }
                }
            }
        )+
    };
}

pub(crate) use word_choices;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public types")]
mod tests {
    use super::*;

    word_choices! {
        /// A type for this test.
        Fruit {
            /// An apple.
            Apple = "apple",
            /// A fig.
            Fig = "fig",
        }
    }

    #[test]
    fn a_value_has_a_word_and_a_word_a_value() {
        assert_eq!(Fruit::from_word("FIG"), Some(Fruit::Fig));
        assert_eq!((Fruit::from_word("kiwi"), Fruit::Apple.word()), (None, "apple"));
        assert_eq!(Fruit::words(), "apple or fig");
    }
}
