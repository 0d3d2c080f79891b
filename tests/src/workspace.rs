//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `tests/clients`: one folder a language.
pub fn clients() -> PathBuf {
    root().join("tests/clients")
}

/// `tests/clients/.cache`: everything that is fetched or built for the client programs; git ignores it.
pub fn cache() -> PathBuf {
    clients().join(".cache")
}
