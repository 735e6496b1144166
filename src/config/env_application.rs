//! An application from environment variables, for containers without a file: `TAGCAST_APP_KEY` and
//! `TAGCAST_APP_SECRET`, or files that contain them (`…_FILE`).

use std::path::Path;

use super::auth_file::InvalidAuthFile;
use super::diagnostic::{Problem, ValueLocation, visible};
use super::layers::ConfigLayers;
use super::read;
use crate::auth::{Application, ApplicationSecret, Applications};
use crate::types::Secret;

/// Variables with the key and with the secret.
const KEY: &str = "TAGCAST_APP_KEY";
const SECRET: &str = "TAGCAST_APP_SECRET";
/// Suffix of a variable that names a file.
const FILE: &str = "_FILE";
/// Maximum bytes of a key, as in the file.
const KEY_BYTES_MAX: usize = 255;

/// Adds the application from the variables to those of the file.
pub(super) fn add_to(
    read: Result<Option<Applications>, InvalidAuthFile>,
    given: &mut ConfigLayers<'_>,
    folder: &Path,
) -> Result<Option<Applications>, InvalidAuthFile> {
    let of_variables = application(given, folder);
    let (applications, of_variables) = (read?, of_variables?);
    let Some(new) = of_variables else { return Ok(applications) };
    let mut all = applications.unwrap_or_default();
    if all.list.iter().any(|application| application.key == new.key) {
        let what = format!("`{}` is the key of an application in the file too", visible(&new.key));
        return wrong(given, KEY, Problem::new(what, "give each its own"));
    }
    all.list.push(new);
    Ok(Some(all))
}

fn application(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
) -> Result<Option<Application>, InvalidAuthFile> {
    let (key, secret) = (value(given, KEY, folder), value(given, SECRET, folder));
    match (key?, secret?) {
        (None, None) => Ok(None),
        (Some(key), Some(secret)) if key.len() <= KEY_BYTES_MAX => Ok(Some(Application {
            key,
            secrets: vec![ApplicationSecret::own(Secret::new(secret))],
            authorize_open: true,
            client_publish: false,
            tenant: None,
            schema: None,
            ..Application::placeholder()
        })),
        (Some(key), Some(_)) => {
            let what = format!("has {} bytes", key.len());
            wrong(given, KEY, Problem::new(what, format!("use {KEY_BYTES_MAX} at most")))
        }
        (Some(_), None) => {
            let what = format!("is set, but {SECRET} is not");
            wrong(given, KEY, Problem::new(what, "set both, or none"))
        }
        (None, Some(_)) => {
            let what = format!("is set, but {KEY} is not");
            wrong(given, SECRET, Problem::new(what, "set both, or none"))
        }
    }
}

/// Returns the value of a variable or the content of the file that it names, without the last line
/// break.
fn value(
    given: &mut ConfigLayers<'_>,
    name: &str,
    folder: &Path,
) -> Result<Option<String>, InvalidAuthFile> {
    let of_file = format!("{name}{FILE}");
    let (direct, file) = (given.variable(name), given.variable(&of_file));
    let text = match (direct, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let what = format!("is set in addition to {name}");
            return wrong(given, &of_file, Problem::new(what, "use one of the two"));
        }
        (Some(text), None) => text.to_owned(),
        (None, Some(file)) => match read(&folder.join(file)) {
            Ok(text) => text.to_string(),
            Err(unread) => {
                let what = format!("`{}`: {}", visible(file), unread.fault().what);
                return wrong(given, &of_file, Problem::new(what, "name a file that can be read"));
            }
        },
    };
    let text = without_last_break(&text);
    if text.is_empty() {
        return wrong(given, name, Problem::new("is empty", "give it a value"));
    }
    Ok(Some(text.to_owned()))
}

/// Returns the text of a file without its last line break, which editors add.
pub(super) fn without_last_break(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

fn wrong<T>(
    given: &mut ConfigLayers<'_>,
    name: &str,
    fault: Problem,
) -> Result<T, InvalidAuthFile> {
    given.find_fault(ValueLocation::Variable(name.to_owned()), "", fault);
    Err(InvalidAuthFile)
}
