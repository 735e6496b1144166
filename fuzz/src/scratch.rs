//! Files for what reads files: a folder of this process, in memory where there is one.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A folder for one target.
pub fn folder(of: &'static OnceLock<PathBuf>, name: &str) -> &'static Path {
    of.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = parent.join(format!("tagcast-fuzz-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}
