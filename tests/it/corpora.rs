//! Runs every file of `fuzz/corpus` through its fuzz target, compiled with an ordinary compiler.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// Runs a target on each file of its folder. If it fails, the message names the file.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new("fuzz/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{}: nothing to replay", folder.display());
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let result = std::panic::catch_unwind(|| run(&bytes));
        assert!(result.is_ok(), "{} fails as above", file.display());
    }
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), targets::$target::run);
            }
        )*

        #[test]
        fn no_target_is_forgotten() {
            let mut known = vec![$(concat!(stringify!($target), ".rs")),*];
            known.sort_unstable();
            let folder = Path::new("fuzz/fuzz_targets").read_dir().unwrap();
            let mut there: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
            there.sort();
            assert_eq!(there, known);
        }
    };
}

replayed! {
    answer api_body auth_file bloatless client_frames control envelope expression frames gomoob head hixie ini link
    operations php_session phpws proxy query raw resume_token schema token trace_parent uuid v1_frames
}
