//! `tagcast check`: says everything that is wrong with the configuration, or that nothing is.

use std::process::ExitCode;

use super::say;
use super::settings::Settings;

pub(super) fn run(settings: &Settings) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let file = match &loaded.ini {
        Some(path) => path.display().to_string(),
        None => "no file, defaults".to_owned(),
    };
    let listen: Vec<&str> =
        loaded.config.listen.iter().map(|address| address.text.as_str()).collect();
    say(&format!(
        "the configuration is good ({file}): {} workers on {}; the server is open",
        loaded.config.workers,
        listen.join(", "),
    ));
    ExitCode::SUCCESS
}
