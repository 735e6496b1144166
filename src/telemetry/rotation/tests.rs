//! Tests of log rotation.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary folder, deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tagcast-rotation-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self, bytes_max: u64, old_files: usize) -> RotatingFile {
        let path = self.0.join("x.log");
        RotatingFile::open(&LogFile { path, bytes_max, old_files }).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn write(log: &mut RotatingFile, lines: &[&str]) {
    for line in lines {
        log.write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn the_newest_old_file_is_number_one_and_no_more_are_kept_than_wanted() {
    let folder = Folder::new();
    let mut log = folder.log(8, 2);
    write(&mut log, &["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"]);
    assert_eq!(folder.names(), ["x.log", "x.log.1", "x.log.2"]);
    assert_eq!(folder.read("x.log"), "seven\n");
    assert_eq!(folder.read("x.log.1"), "five\nsix\n");
    assert_eq!(folder.read("x.log.2"), "three\nfour\n");
}

#[test]
fn without_old_files_the_file_starts_again() {
    let folder = Folder::new();
    fs::write(folder.0.join("x.log.1"), "of an earlier life").unwrap();
    let mut log = folder.log(8, 0);
    write(&mut log, &["one\n", "two\n", "three\n"]);
    assert_eq!(
        (folder.names(), folder.read("x.log")),
        (vec!["x.log".to_owned()], "three\n".into())
    );
}

#[test]
fn size_zero_means_never() {
    let folder = Folder::new();
    let mut log = folder.log(0, 5);
    write(&mut log, &["line\n"; 100]);
    assert_eq!((folder.names().len(), folder.read("x.log").len()), (1, 500));
}

#[test]
fn a_file_above_the_limit_is_rotated_at_the_first_line() {
    let folder = Folder::new();
    fs::write(folder.0.join("x.log"), "of an earlier life, cut").unwrap();
    let mut log = folder.log(8, 5);
    write(&mut log, &["one\n"]);
    assert_eq!(folder.read("x.log.1"), "of an earlier life, cut");
    assert_eq!(folder.read("x.log"), "one\n");
}

#[test]
fn a_line_that_came_in_pieces_is_in_one_file() {
    let folder = Folder::new();
    let mut log = folder.log(8, 5);
    write(&mut log, &["0123456789", "abc", "\n", "next\n"]);
    assert_eq!(folder.read("x.log.1"), "0123456789abc\n");
    assert_eq!(folder.read("x.log"), "next\n");
}

#[test]
fn a_file_that_cannot_be_rotated_grows_and_is_tried_again() {
    let folder = Folder::new();
    let in_the_way = folder.0.join("x.log.1");
    fs::create_dir_all(&in_the_way).unwrap();
    let mut log = folder.log(8, 1);
    write(&mut log, &["one\n", "two\n", "three\n", "four\n"]);
    assert_eq!(folder.read("x.log"), "one\ntwo\nthree\nfour\n");
    assert!(log.is_stuck);
    fs::remove_dir(&in_the_way).unwrap();
    let long = format!("{}\n", "x".repeat(usize::try_from(RETRY_BYTES).unwrap()));
    write(&mut log, &[&long, "five\n"]);
    assert_eq!(folder.read("x.log.1"), format!("one\ntwo\nthree\nfour\n{long}"));
    assert_eq!((folder.read("x.log"), log.is_stuck), ("five\n".into(), false));
}

#[test]
fn tries_that_fail_push_no_old_file_out() {
    let folder = Folder::new();
    fs::write(folder.0.join("x.log.2"), "old").unwrap();
    for _ in 0..3 {
        make_room(&folder.0.join("x.log"), 3).unwrap();
    }
    assert_eq!(folder.names(), ["x.log.2"]);
}

#[test]
fn a_log_file_that_was_moved_away_is_created_again() {
    let folder = Folder::new();
    let mut log = folder.log(8, 2);
    write(&mut log, &["one\n", "two\n"]);
    fs::rename(folder.0.join("x.log"), folder.0.join("elsewhere")).unwrap();
    write(&mut log, &["three\n"]);
    assert_eq!(folder.names(), ["elsewhere", "x.log"]);
    assert_eq!(folder.read("x.log"), "three\n");
}

#[test]
fn through_a_symbolic_link_the_file_is_rotated_and_the_link_stays() {
    let folder = Folder::new();
    let real = folder.0.join("real");
    std::os::unix::fs::symlink(&real, folder.0.join("x.log")).unwrap();
    let mut log = folder.log(8, 2);
    write(&mut log, &["one\n", "two\n", "three\n"]);
    assert_eq!(folder.names(), ["real", "real.1", "x.log"]);
    assert_eq!(
        (folder.read("real.1"), folder.read("x.log")),
        ("one\ntwo\n".into(), "three\n".into())
    );
}

#[test]
fn only_regular_files_are_rotated() {
    let settings = LogFile { path: "/dev/null".into(), bytes_max: 8, old_files: 2 };
    let mut log = RotatingFile::open(&settings).unwrap();
    write(&mut log, &["line\n"; 100]);
    assert_eq!((log.due, log.is_stuck), (None, false));
}
