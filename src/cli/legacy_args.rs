//! Option spellings of phpWebSocketServer's command line, which existing unit files use.

use std::ffi::OsString;

/// Rewrites single-dash options, and adds `serve` if there is no command.
pub(super) fn modern(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut modern: Vec<OsString> = arguments.into_iter().map(respelt).collect();
    let first = modern.get(1).and_then(|first| first.to_str()).unwrap_or_default();
    let is_help = ["-h", "--help", "-V", "--version"].contains(&first);
    if first.starts_with('-') && !is_help {
        modern.insert(1, "serve".into());
    }
    modern
}

fn respelt(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-adress" | "-address" | "--adress") => "--address".into(),
        Some("-console") => "--console".into(),
        Some("-logfile") => "--logfile".into(),
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let arguments = line.split(' ').map(OsString::from).collect();
        modern(arguments).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn old_spellings_are_understood() {
        assert_eq!(
            words("tagcast serve -console -i x.ini").join(" "),
            "tagcast serve --console -i x.ini"
        );
        assert_eq!(words("tagcast -adress ws://a:1").join(" "), "tagcast serve --address ws://a:1");
        assert_eq!(words("tagcast --help").join(" "), "tagcast --help");
    }
}
