//! Buffers that are wiped from memory.

use std::fmt;
use std::io;
use std::ops::Deref;

use zeroize::Zeroize;

/// A buffer for data that may contain secrets. Memory that it releases is wiped, also when it
/// grows.
///
/// ```
/// let mut bytes = tagcast::types::WipedBytes::default();
/// bytes.extend_from_slice(b"one, two");
/// bytes.consume(5);
/// assert_eq!(&bytes[..], b"two");
/// ```
#[derive(Default)]
pub struct WipedBytes(Vec<u8>);

impl WipedBytes {
    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() {
            // Growing the vector in place could leave a copy in the old allocation.
            let mut larger = Vec::with_capacity(length.next_power_of_two());
            larger.extend_from_slice(&self.0);
            std::mem::replace(&mut self.0, larger).zeroize();
        }
        self.0.extend_from_slice(bytes);
    }

    /// Removes bytes from the front.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.0.len());
        self.0.copy_within(count.., 0);
        let rest = self.0.len() - count;
        self.0.get_mut(rest..).unwrap_or_default().zeroize();
        self.0.truncate(rest);
    }

    /// Returns the first `count` bytes for overwriting.
    pub fn get_mut(&mut self, count: usize) -> &mut [u8] {
        self.0.get_mut(..count).unwrap_or_default()
    }
}

impl Deref for WipedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl io::Write for WipedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Omits the bytes.
impl fmt::Debug for WipedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Bytes of stack that [`scrub_stack`] overwrites. A parsed configuration, a key schedule and the
/// calls between them take less, and the smallest stack of a thread (2 MiB) is much larger.
const SCRUBBED_BYTES: usize = 128 * 1024;

/// Overwrites the stack below the caller, where earlier calls have left copies of keys.
#[inline(never)]
pub fn scrub_stack() {
    let mut below = [0_u8; SCRUBBED_BYTES];
    below.fill(0xa5);
    std::hint::black_box(&below);
    below.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_added_is_there_until_it_is_consumed() {
        let mut bytes = WipedBytes::default();
        for number in 0..1000_u32 {
            bytes.write_all(&number.to_be_bytes()).unwrap();
        }
        assert_eq!(bytes.len(), 4000);
        bytes.consume(3996);
        assert_eq!(&bytes[..], 999_u32.to_be_bytes());
        bytes.get_mut(1)[0] = 7;
        assert_eq!(bytes[0], 7);
        bytes.consume(100);
        assert!(bytes.is_empty() && format!("{bytes:?}") == "0 bytes");
    }
}
