//! Fuzzer input as a sequence of choices, from which a sequence of operations is built.

/// Unused bytes. When none are left, each choice is 0.
#[derive(Clone, Debug)]
pub struct Choices<'d>(pub &'d [u8]);

impl<'d> Choices<'d> {
    /// Returns true if all bytes are used.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Returns a number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Returns one of the values.
    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Returns the next bytes, at most `count`.
    pub fn bytes(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// Splits bytes into segments of 1 to 16 bytes. The lengths depend only on the bytes.
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
