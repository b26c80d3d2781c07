//! Where the programs under test lie. Cargo tells it to the tests of the package that a program belongs to, and to nobody
//! else.

use std::path::{Path, PathBuf};

/// The program `headwater`.
pub fn headwater() -> PathBuf {
    beside("headwater")
}

/// A program of this build: in the folder above that of the running test, which is `deps`.
pub fn beside(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    assert!(deps.ends_with("deps"), "{} was not built by cargo", test.display());
    deps.with_file_name(name)
}

/// The folder of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap()
}
