//! Where the example server puts transfers: what a state speaks of is there after a crash, nothing else counts.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../examples/support/files.rs"]
mod files;
#[path = "../examples/support/hex.rs"]
mod hex;

use files::{Files, Opening, Sizes, Transfer, Upload};
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of its own for a test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{}-{name}", std::process::id())))
    }

    /// The file of a key whose bytes are all the same.
    fn file(&self, key: u8) -> PathBuf {
        self.0.join(format!("{key:02x}").repeat(16))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const OPENING: Opening = [9; 32];

fn unfinished(files: &Files, key: u8) -> Upload {
    match files.open(&[key; 16], &OPENING).unwrap() {
        Transfer::Unfinished(upload) => upload,
        Transfer::Finished(finished) => panic!("{finished:?}"),
    }
}

#[test]
fn a_transfer_goes_on_from_its_last_state() {
    let dir = Dir::new("goes-on");
    let files = Files::new(dir.0.clone()).unwrap();
    let mut upload = unfinished(&files, 1);
    assert_eq!((upload.opening(), upload.state()), (&OPENING, &b""[..]));
    upload.write_at(4, b"efgh").unwrap();
    upload.save(b"4..8").unwrap();
    upload.write_at(8, b"lost").unwrap();
    drop(upload);
    // Another opening does not change what is known.
    let Transfer::Unfinished(mut upload) = files.open(&[1; 16], &[8; 32]).unwrap() else { panic!("finished") };
    assert_eq!((upload.opening(), upload.state()), (&OPENING, &b"4..8"[..]));
    upload.write_at(0, b"abcd").unwrap();
    upload.write_at(8, b"i").unwrap();
    let mut all = [0; 9];
    upload.read_at(0, &mut all).unwrap();
    assert_eq!(&all, b"abcdefghi");
    assert_eq!(files.sizes().unwrap(), Sizes { uploads: 1, unfinished: 12, finished: 0 });
    let path = upload.finish(b"all").unwrap().path().to_path_buf();
    assert_eq!(path, dir.file(1));
    assert_eq!(fs::read(path).unwrap(), b"abcdefghiost");
    let Transfer::Finished(finished) = files.open(&[1; 16], &[8; 32]).unwrap() else { panic!("unfinished") };
    assert_eq!(finished.opening(), &OPENING);
    assert_eq!(files.sizes().unwrap(), Sizes { uploads: 0, unfinished: 0, finished: 12 });
    finished.remove().unwrap();
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
}

#[test]
fn neither_bytes_without_a_state_nor_a_state_without_bytes_count() {
    let dir = Dir::new("neither");
    let files = Files::new(dir.0.clone()).unwrap();
    let part = dir.file(2).with_extension("part");
    let mut upload = unfinished(&files, 2);
    upload.write_at(0, b"never saved").unwrap();
    drop(upload);
    let mut upload = unfinished(&files, 2);
    assert_eq!(fs::read(&part).unwrap(), b"");
    upload.write_at(0, b"saved").unwrap();
    upload.save(b"0..5").unwrap();
    drop(upload);
    fs::remove_file(&part).unwrap();
    for _ in 0..2 {
        assert_eq!(unfinished(&files, 2).state(), b"");
    }
    unfinished(&files, 2).remove().unwrap();
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
}
