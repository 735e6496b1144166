//! A byte string that stores short content inline. Most tags are short, so comparing them needs no access to
//! the heap.

/// Bytes that fit inline. With this value an [`InlineStr`] is as large as a `Vec`.
const INLINE_MAX: usize = 22;

/// The bytes of a name followed directly by the bytes of its value.
#[derive(Debug)]
pub(super) enum InlineStr {
    Inline { length: u8, bytes: [u8; INLINE_MAX] },
    Heap(Box<[u8]>),
}

const _: () = assert!(size_of::<InlineStr>() == 24, "as large as a Vec");

impl InlineStr {
    pub(super) fn new(first: &[u8], second: &[u8]) -> Self {
        let whole = first.len() + second.len();
        let mut bytes = [0; INLINE_MAX];
        let fits = u8::try_from(whole).ok().zip(bytes.get_mut(..whole));
        let Some((length, place)) = fits else {
            return Self::Heap([first, second].concat().into());
        };
        let (before, after) = place.split_at_mut(first.len());
        before.copy_from_slice(first);
        after.copy_from_slice(second);
        Self::Inline { length, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Self::Heap(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_are_kept_whole() {
        for length in [0, 1, 21, 22, 23, 255, 256, 510] {
            let (first, second) = (vec![b'a'; length / 3], vec![b'b'; length - length / 3]);
            let text = InlineStr::new(&first, &second);
            assert_eq!(text.bytes(), [first, second].concat());
            assert_eq!(matches!(text, InlineStr::Inline { .. }), length <= INLINE_MAX);
        }
    }
}
