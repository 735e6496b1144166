//! `websock.ini` with `.env`: the parser returns a configuration within its limits, which the
//! children receive unchanged, or findings with position and error.

use tagcast::config::{Config, ConfigSources, Diagnostics, Loaded, load};

use super::findings::{Written, is_well_formed};
use super::scratch::Scratch;

/// The text is the file. The bytes after a NUL are `.env`.
pub fn run(data: &[u8]) {
    let scratch = Scratch::new("ini");
    let cut = data.iter().position(|byte| *byte == 0);
    let (text, variables) = cut.map_or((data, &[][..]), |at| (&data[..at], &data[at + 1..]));
    let files = [("websock.ini", text), (".env", variables)]
        .map(|(name, text)| Written::new(scratch.write(name, text), text));
    let source = ConfigSources { folder: scratch.folder().to_owned(), ..ConfigSources::default() };
    match load(&source) {
        Ok(loaded) => holds(&loaded, &files),
        Err(Diagnostics(findings)) => {
            assert!(!findings.is_empty());
            findings.iter().for_each(|finding| is_well_formed(finding, &files));
        }
    }
}

fn holds(loaded: &Loaded, files: &[Written]) {
    loaded.warnings.iter().for_each(|warning| is_well_formed(warning, files));
    let Loaded { config, .. } = loaded;
    assert!((1..=256).contains(&config.workers) && !config.listen.is_empty());
    assert!((1024..=64 * 1024 * 1024).contains(&config.limits.max_message));
    let json = config.to_json();
    let received = Config::from_json(&json).expect("what the supervisor sends");
    assert_eq!(received.to_json(), json);
}
