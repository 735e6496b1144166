//! Edits of the written output: parts that are removed or replaced.

use std::ops::Range;

/// A part of the output, and the part that replaces it. An empty replacement removes the part.
#[derive(Debug)]
struct Edit {
    part: Range<u32>,
    by: Range<u32>,
}

/// The edits of an output. A part is removed, or replaced by another part of the same output.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Removes a part.
    pub(super) fn remove(&mut self, part: Range<u32>) {
        match self.0.last_mut() {
            Some(last) if last.by.is_empty() && last.part.end == part.start => {
                last.part.end = part.end;
            }
            _ => self.0.push(Edit { part, by: 0..0 }),
        }
    }

    /// Replaces a part by another part. The other part must also be removed at its own position.
    pub(super) fn replace(&mut self, part: Range<u32>, by: Range<u32>) {
        self.0.push(Edit { part, by });
    }

    /// Returns the text with all edits applied.
    pub(super) fn made(mut self, text: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return text;
        }
        self.0.sort_unstable_by_key(|edit| edit.part.start);
        let mut out = Vec::with_capacity(text.len());
        self.copy(&text, 0..u32::try_from(text.len()).unwrap_or(u32::MAX), &mut out);
        out
    }

    /// Copies a part with all edits within it applied. The recursion is as deep as values are nested.
    fn copy(&self, text: &[u8], part: Range<u32>, out: &mut Vec<u8>) {
        let mut at = part.start;
        let mut rest = self.behind(&self.0, at);
        while let Some(edit) = rest.first().filter(|edit| edit.part.start < part.end) {
            out.extend_from_slice(piece(text, at..edit.part.start));
            if !edit.by.is_empty() {
                self.copy(text, edit.by.clone(), out);
            }
            at = edit.part.end;
            rest = self.behind(rest, at);
        }
        out.extend_from_slice(piece(text, at..part.end));
    }

    /// Skips edits before a position, including edits inside a part that was replaced or removed.
    fn behind<'e>(&self, edits: &'e [Edit], place: u32) -> &'e [Edit] {
        let first = match edits.iter().take(4).position(|edit| edit.part.start >= place) {
            Some(near) => near,
            None => edits.partition_point(|edit| edit.part.start < place),
        };
        edits.get(first..).unwrap_or_default()
    }
}

fn piece(text: &[u8], part: Range<u32>) -> &[u8] {
    text.get(part.start as usize..part.end as usize).unwrap_or_default()
}
