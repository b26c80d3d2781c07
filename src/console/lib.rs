//! The console: web pages by which people watch a fleet, its history and its proof. This crate holds their files.
//!
//! Always: a file is served by the name that it has in the list, and nothing else is; its digest is that of its bytes. What a file may
//! contain is kept by `src/tests/laws/console.rs`.
//! Absent on purpose: HTTP, which is the server's, and a build step: the files are served as they lie in `assets/`.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file of the console.
#[derive(Debug)]
pub struct ConsoleAsset {
    /// Its path below `assets/`.
    pub name: &'static str,
    /// What `Content-Type` says of it.
    pub media_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// The SHA-256 of its content, as 64 hexadecimal digits.
    pub digest: String,
}

/// Files by their paths below `assets/`.
macro_rules! embedded {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("assets/", $name)).as_slice())),*]
    };
}

static ASSETS: LazyLock<Vec<ConsoleAsset>> = LazyLock::new(|| {
    let files = embedded! {
        "action.js"
        "connection.js"
        "dom.js"
        "frame.js"
        "hub.js"
        "icon.svg"
        "index.html"
        "keys.js"
        "main.js"
        "nodes.js"
        "pages/attention.js"
        "pages/documents.js"
        "pages/fleet.js"
        "pages/history.js"
        "pages/node.js"
        "pages/proof.js"
        "pages/proposals.js"
        "pages/rollouts.js"
        "pages/server.js"
        "parts.js"
        "proof.js"
        "style.css"
        "text.js"
        "theme.js"
        "worker.js"
    };
    files.into_iter().map(|(name, bytes)| ConsoleAsset::new(name, bytes)).collect()
});

/// All files.
#[must_use]
pub fn assets() -> &'static [ConsoleAsset] {
    &ASSETS
}

impl ConsoleAsset {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, media_type: media_type(name), bytes, digest: hex::encode(Sha256::digest(bytes)) }
    }
}

/// The media type of a file. A browser runs a module only under the right one, and takes no guess where `nosniff` is said.
fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
