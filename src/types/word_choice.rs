//! Options whose values are words: the type stands with its feature, the words with the type.

/// A value out of a few words, as a configuration or a command line names it.
pub trait WordChoice: Copy + 'static {
    /// Each value with its word.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of a word, in any case.
    #[must_use]
    fn from_word(text: &str) -> Option<Self> {
        let known = |(word, _): &&(&str, Self)| word.eq_ignore_ascii_case(text);
        Self::WORDS.iter().find(known).map(|(_, value)| *value)
    }

    /// The words, as a person lists them.
    #[must_use]
    fn words() -> String {
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => words.concat(),
        }
    }
}

/// Types whose values are words: each variant with its word.
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
                /// Its word.
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
        /// For this test.
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
