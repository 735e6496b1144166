//! `websock.ini` with `.env` beside it: a configuration that keeps its own limits and travels to
//! the children as it is, or findings that say where and what.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tagcast::config::{Config, Findings, Loaded, Source, load};

use super::findings::is_well_formed;
use super::scratch;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// The text is the file; what follows a NUL is `.env`.
pub fn run(data: &[u8]) {
    let folder = scratch::folder(&FOLDER, "ini");
    let (ini, env) = (folder.join("websock.ini"), folder.join(".env"));
    let cut = data.iter().position(|byte| *byte == 0);
    let (text, variables) = cut.map_or((data, &[][..]), |at| (&data[..at], &data[at + 1..]));
    std::fs::write(&ini, text).expect("a file");
    std::fs::write(&env, variables).expect("a file");
    let source = Source { folder: folder.to_owned(), ..Source::default() };
    let files = [(ini.as_path(), text), (env.as_path(), variables)];
    match load(&source) {
        Ok(loaded) => holds(&loaded, &files),
        Err(Findings(findings)) => {
            assert!(!findings.is_empty());
            findings.iter().for_each(|finding| is_well_formed(finding, &files));
            let again = load(&source).expect_err("the same as before");
            assert_eq!(again, Findings(findings));
        }
    }
}

fn holds(loaded: &Loaded, files: &[(&Path, &[u8])]) {
    loaded.warnings.iter().for_each(|warning| is_well_formed(warning, files));
    let Loaded { config, .. } = loaded;
    assert!((1..=256).contains(&config.workers) && !config.listen.is_empty());
    assert!((1024..=64 * 1024 * 1024).contains(&config.limits.max_message));
    let json = config.to_json();
    let received = Config::from_json(&json).expect("what the supervisor sends");
    assert_eq!(received.to_json(), json);
}
