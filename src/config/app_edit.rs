//! Lists and removes applications and replaces their secrets, without changing any other byte of
//! the file.

use std::io;
use std::path::Path;

use super::app_add::{NotAdded, checked, is_name, replace};
use super::auth_file::edit_secrets::AddedSecret;
use super::auth_file::{edit, edit_secrets};
use super::read;
use crate::auth::{ApplicationSecret, Applications, OWN_SECRET};
use crate::types::Secret;
use crate::types::limits::SECRETS_MAX;

/// Returns the applications of a file.
///
/// # Errors
///
/// If the file cannot be read or has errors.
pub fn applications_in(file: &Path) -> Result<Applications, NotAdded> {
    checked(file, &text_of(file)?)
}

/// Removes an application. The last one cannot be removed, because an empty list is an error.
///
/// # Errors
///
/// If nothing was removed.
pub fn remove_application(file: &Path, key: &str) -> Result<(), NotAdded> {
    change(file, key, |text, before, at| {
        if before.list.len() == 1 {
            return Err(NotAdded::Last { file: file.to_owned() });
        }
        if before.anonymous == Some(at) {
            return Err(NotAdded::Anonymous { file: file.to_owned() });
        }
        let mut wanted = before.clone();
        wanted.list.remove(at);
        wanted.anonymous = before.anonymous.map(|place| place - usize::from(place > at));
        Ok((edit::without(text, at), wanted))
    })
}

/// Replaces the secret in the member `secret` of an application. The former one is not accepted any
/// more.
///
/// # Errors
///
/// If nothing was changed.
pub fn replace_secret(file: &Path, key: &str, secret: &Secret) -> Result<(), NotAdded> {
    change(file, key, |text, before, at| {
        let mut wanted = before.clone();
        let application = wanted.list.get_mut(at);
        let mut all = application.into_iter().flat_map(|it| &mut it.secrets);
        let own = all.find(|one| one.id == OWN_SECRET);
        let own = own.ok_or_else(|| NotAdded::UnknownSecret { file: file.to_owned() })?;
        own.secret = secret.clone();
        Ok((edit::with_secret(text, at, secret.expose()), wanted))
    })
}

/// Adds a secret to an application. Its id begins with `id`, and has a number if that is taken; the
/// complete id is returned.
///
/// # Errors
///
/// If nothing was changed.
pub fn add_secret(file: &Path, key: &str, id: &str, secret: &Secret) -> Result<String, NotAdded> {
    if !is_name(id) || id == OWN_SECRET {
        return Err(NotAdded::BadName);
    }
    let mut chosen = id.to_owned();
    change(file, key, |text, before, at| {
        let mut wanted = before.clone();
        let unknown = || NotAdded::Unknown { file: file.to_owned() };
        let all = &mut wanted.list.get_mut(at).ok_or_else(unknown)?.secrets;
        if all.len() >= SECRETS_MAX {
            return Err(NotAdded::TooManySecrets { file: file.to_owned() });
        }
        for number in 2.. {
            if all.iter().all(|one| one.id != chosen) {
                break;
            }
            chosen = format!("{id}-{number}");
        }
        all.push(ApplicationSecret::named(chosen.clone(), secret.clone()));
        let added = AddedSecret { id: &chosen, value: secret.expose() };
        Ok((edit_secrets::with_added(text, at, added), wanted))
    })?;
    Ok(chosen)
}

/// Removes the secret with this id from an application. The last one cannot be removed.
///
/// # Errors
///
/// If nothing was removed.
pub fn remove_secret(file: &Path, key: &str, id: &str) -> Result<(), NotAdded> {
    change(file, key, |text, before, at| {
        let mut wanted = before.clone();
        let unknown = || NotAdded::Unknown { file: file.to_owned() };
        let all = &mut wanted.list.get_mut(at).ok_or_else(unknown)?.secrets;
        let place = all.iter().position(|one| one.id == id);
        let place = place.ok_or_else(|| NotAdded::UnknownSecret { file: file.to_owned() })?;
        if all.len() == 1 {
            return Err(NotAdded::LastSecret { file: file.to_owned() });
        }
        let is_own = |one: &ApplicationSecret| one.id == OWN_SECRET;
        let index = place - usize::from(all.first().is_some_and(is_own) && place > 0);
        all.remove(place);
        let index = Some(index).filter(|_| id != OWN_SECRET);
        Ok((edit_secrets::without(text, at, index), wanted))
    })
}

/// Makes an application the one that is used for connections without a key.
///
/// # Errors
///
/// If another application already is.
pub fn make_anonymous(file: &Path, key: &str) -> Result<(), NotAdded> {
    change(file, key, |text, before, at| {
        if before.anonymous.is_some() {
            return Err(NotAdded::Anonymous { file: file.to_owned() });
        }
        let wanted = Applications { anonymous: Some(at), ..before.clone() };
        Ok((edit::with_anonymous(text, key), wanted))
    })
}

/// The edited text, or None if it cannot be edited, and the applications that it must contain.
type Changed = (Option<String>, Applications);

/// Edits a file. The new text is written only if parsing it gives exactly the wanted applications.
fn change(
    file: &Path,
    key: &str,
    changed: impl FnOnce(&str, &Applications, usize) -> Result<Changed, NotAdded>,
) -> Result<(), NotAdded> {
    let text = text_of(file)?;
    let before = checked(file, &text)?;
    let at = before.list.iter().position(|application| application.key == key);
    let at = at.ok_or_else(|| NotAdded::Unknown { file: file.to_owned() })?;
    let (text, wanted) = changed(&text, &before, at)?;
    let by_hand = || NotAdded::ByHand { file: file.to_owned() };
    let text = text.ok_or_else(by_hand)?;
    if checked(file, &text).ok().as_ref() != Some(&wanted) {
        return Err(by_hand());
    }
    replace(file, &text).map_err(|error| NotAdded::Unwritable { file: file.to_owned(), error })
}

fn text_of(file: &Path) -> Result<String, NotAdded> {
    read(file).map(|text| text.to_string()).map_err(|unread| {
        let error = io::Error::other(unread.fault().what);
        NotAdded::Unwritable { file: file.to_owned(), error }
    })
}
