//! Splits the bytes of a link into messages.

use super::{Malformed, WireMessage};
use crate::types::limits::LINK_MESSAGE_BYTES_MAX;

/// Splits received bytes into whole messages.
#[derive(Debug, Default)]
pub struct MessageDecoder {
    arrived: Vec<u8>,
    /// Number of bytes of `arrived` that were already returned as messages.
    taken: usize,
}

/// Capacity that a [`MessageDecoder`] keeps while it has no bytes. Larger messages are rare.
const KEPT_BYTES_MAX: usize = 512 * 1024;

impl MessageDecoder {
    /// Adds received bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.taken == self.arrived.len() && self.arrived.capacity() > KEPT_BYTES_MAX {
            self.arrived = Vec::new();
        } else {
            // A rest is the beginning of one message, because whole messages are taken before a read.
            self.arrived.drain(..self.taken);
        }
        self.taken = 0;
        self.arrived.extend_from_slice(bytes);
    }

    /// Returns the next whole message, if there is one.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message. The link cannot be used after that.
    pub fn take<M: WireMessage>(&mut self) -> Result<Option<M>, Malformed> {
        self.take_body()?.map(M::decode).transpose()
    }

    /// Returns the next whole message as bytes, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the length exceeds the largest message. The link cannot be used after that.
    pub fn take_body(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let rest = self.arrived.get(self.taken..).unwrap_or_default();
        let body = first_body(rest)?;
        self.taken += body.map_or(0, |body| 4 + body.len());
        Ok(body)
    }

    /// Returns the next whole message in memory of its own if it has at least `bytes_min` bytes, and the place
    /// in that memory where it begins.
    ///
    /// # Errors
    ///
    /// As [`MessageDecoder::take_body`].
    pub fn take_large_body(
        &mut self,
        bytes_min: usize,
    ) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
        if self.arrived.len() < self.taken + bytes_min {
            return Ok(None);
        }
        let rest = self.arrived.get(self.taken..).unwrap_or_default();
        let Some(body) = first_body(rest)?.filter(|body| body.len() >= bytes_min) else {
            return Ok(None);
        };
        let start = self.taken + 4;
        let following = self.arrived.split_off(start + body.len());
        let mut large = std::mem::replace(&mut self.arrived, following);
        large.shrink_to_fit();
        self.taken = 0;
        Ok(Some((large, start)))
    }

    /// Returns whether [`MessageDecoder::take`] has a whole message. A reader that stops early must take it
    /// before it reads more.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        first_body(self.arrived.get(self.taken..).unwrap_or_default()) != Ok(None)
    }
}

/// Returns the first message, if it is whole, without the length that precedes it.
#[inline]
pub(super) fn first_body(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > LINK_MESSAGE_BYTES_MAX {
        return Err(Malformed::Oversized(length));
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_is_taken_with_its_memory() {
        let bodies = [vec![1; 10], vec![2; 5000], vec![3; 20], vec![4; 4999], vec![5; 6000]];
        let framed = |body: &Vec<u8>| {
            [&u32::try_from(body.len()).unwrap().to_le_bytes(), &body[..]].concat()
        };
        let stream: Vec<u8> = bodies.iter().flat_map(framed).collect();
        for step in [1, 7, 3000, stream.len()] {
            let mut inbox = MessageDecoder::default();
            let mut taken = Vec::new();
            for segment in stream.chunks(step) {
                inbox.extend(segment);
                loop {
                    if let Some((bytes, start)) = inbox.take_large_body(5000).unwrap() {
                        assert_eq!(bytes.capacity(), bytes.len());
                        taken.push(bytes[start..].to_vec());
                    } else if let Some(body) = inbox.take_body().unwrap() {
                        assert!(body.len() < 5000);
                        taken.push(body.to_vec());
                    } else {
                        break;
                    }
                }
            }
            assert!(taken == bodies, "in steps of {step}");
            assert!(!inbox.has_rest());
        }
    }
}
