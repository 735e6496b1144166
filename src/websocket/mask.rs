//! Masking of payloads. It is its own inverse (RFC 6455 §5.3).

/// Mask key that the client chooses for each frame.
pub(super) type MaskKey = [u8; 4];

/// Masks or unmasks in place, starting with the first byte of the key.
///
/// The loop processes eight bytes per step, and the compiler vectorizes it.
pub(super) fn apply(payload: &mut [u8], key: MaskKey) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// Returns the key for the rest of a payload after its first `bytes` bytes.
pub(super) fn key_after(mut key: MaskKey, bytes: usize) -> MaskKey {
    let turn = bytes % key.len();
    key.rotate_left(turn);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_cut_equals_the_byte_by_byte_definition() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for length in 0..70_usize {
            let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
            let masked: Vec<u8> =
                plain.iter().zip(key.iter().cycle()).map(|(p, k)| p ^ k).collect();
            for cut in 0..=length {
                let mut bytes = masked.clone();
                let (left, right) = bytes.split_at_mut(cut);
                apply(left, key);
                apply(right, key_after(key, cut));
                assert_eq!(bytes, plain, "length {length}, cut at {cut}");
            }
        }
    }
}
