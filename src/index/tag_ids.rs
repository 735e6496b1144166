//! The rows that a client is in.

use std::ops::Deref;

use smallvec::SmallVec;

use super::interner::NameId;

/// Row ids that fit inline. With this value a [`TagIds`] is as large as a `Vec`.
const FEW_MAX: usize = 5;

/// Row ids. Up to five need no allocation.
#[derive(Clone, Debug)]
pub(super) enum TagIds {
    Few { length: u8, ids: [NameId; FEW_MAX] },
    Many(Box<[NameId]>),
}

const _: () = assert!(size_of::<TagIds>() == 24, "as large as a Vec");

impl Default for TagIds {
    fn default() -> Self {
        Self::Few { length: 0, ids: [NameId(0); FEW_MAX] }
    }
}

impl FromIterator<NameId> for TagIds {
    fn from_iter<I: IntoIterator<Item = NameId>>(rows: I) -> Self {
        let rows: SmallVec<[NameId; FEW_MAX]> = rows.into_iter().collect();
        let mut ids = [NameId(0); FEW_MAX];
        let fits = u8::try_from(rows.len()).ok().zip(ids.get_mut(..rows.len()));
        let Some((length, place)) = fits else { return Self::Many(rows.into_boxed_slice()) };
        place.copy_from_slice(&rows);
        Self::Few { length, ids }
    }
}

impl Deref for TagIds {
    type Target = [NameId];

    fn deref(&self) -> &[NameId] {
        match self {
            Self::Few { length, ids } => ids.get(..usize::from(*length)).unwrap_or(ids),
            Self::Many(ids) => ids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_kept_in_order() {
        for count in [0, 1, 5, 6, 300] {
            let ids: Vec<NameId> = (0..count).rev().map(NameId).collect();
            let rows: TagIds = ids.iter().copied().collect();
            assert_eq!(*rows, *ids);
            assert_eq!(matches!(rows, TagIds::Few { .. }), count <= 5);
        }
    }
}
