//! Bytes as a row of choices: what a sequence of operations is made from.

/// The bytes that were not used yet. When there are none, every choice is 0.
#[derive(Clone, Debug)]
pub struct Choices<'d>(pub &'d [u8]);

impl<'d> Choices<'d> {
    /// Whether anything is left to choose from.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// One of some values.
    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// As many bytes as there are, up to a count.
    pub fn bytes(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// Cuts bytes into pieces of 1 to 16 bytes that depend on the bytes alone.
pub fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let mut state = bytes.len() as u32;
    while !bytes.is_empty() {
        state = state.wrapping_mul(0x9E37_79B1).wrapping_add(u32::from(bytes[0]));
        let (piece, rest) = bytes.split_at((1 + (state >> 28) as usize).min(bytes.len()));
        all.push(piece);
        bytes = rest;
    }
    all
}
