//! Signed UUIDs: a text is accepted exactly if it was issued with this key.

use tagcast::auth::uuid::{Signer, UuidForm};
use tagcast::types::ClientUuid;

use super::choices::Choices;

/// The first 17 bytes are a UUID and the form. The next bytes are changes to its text, as position
/// and character. The bytes after a `#` are a text from a client.
pub fn run(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == b'#').unwrap_or(data.len());
    let (changes, shown) = data.split_at(cut);
    let shown = std::str::from_utf8(shown.get(1..).unwrap_or_default()).unwrap_or_default();
    let mut choices = Choices(changes);
    let form = choices.of(&[UuidForm::Signed, UuidForm::Plain]);
    let mut uuid = [0; 16];
    uuid.fill_with(|| choices.byte());
    let uuid = ClientUuid(uuid);
    let signer = Signer::new(&[7; 32], form);
    is_what_was_given_out(&signer, shown);
    let text = signer.text(uuid);
    assert_eq!(text.len(), if form == UuidForm::Signed { 101 } else { 36 });
    let changed = changed(&text, &mut choices);
    // Checks before and after the valid text was cached: the cache must not accept a forged text.
    for _ in 0..2 {
        is_what_was_given_out(&signer, &changed);
        if form == UuidForm::Signed {
            assert_eq!(signer.verify(&changed).is_some(), changed == text, "{changed}");
        }
        assert_eq!(signer.verify(&text), Some(uuid));
    }
    let other = Signer::new(&[8; 32], form).verify(&text);
    assert_eq!(other, Some(uuid).filter(|_| form == UuidForm::Plain));
}

/// Checks that a client has only one valid text.
fn is_what_was_given_out(signer: &Signer, text: &str) {
    if let Some(uuid) = signer.verify(text) {
        assert_eq!(signer.text(uuid), text);
    }
}

fn changed(text: &str, choices: &mut Choices<'_>) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    while !choices.is_over() {
        let place = choices.below(256);
        let letter = char::from(choices.byte());
        match place.checked_sub(128) {
            None if letters.is_empty() => letters.push(letter),
            None => {
                let place = place % letters.len();
                letters[place] = letter;
            }
            Some(place) if place < letters.len() && letter == '-' => drop(letters.remove(place)),
            Some(place) => letters.insert(place.min(letters.len()), letter),
        }
    }
    letters.into_iter().collect()
}
