//! Where an archive lies, as a person names it: a folder, `https://…`, or `s3://BUCKET/PREFIX` with what the environment says of the bucket.

use std::env;
use std::path::{Path, PathBuf};

use crate::archive::Archive;
use crate::digest::Digest;
use crate::store::{Access, Remote, Store};

use super::Failure;
use super::pace::MachineClock;
use super::ui::Ui;

/// Says whether a name is that of an archive rather than of a bundle: a URL, or a folder with an `archive.toml`.
pub(super) fn is_archive(path: &Path) -> bool {
    path.to_str().is_some_and(Remote::is_url) || Archive::is_at(path)
}

/// Returns the store that a person names; what is kept of a remote one lies in the user's cache folder.
pub(super) fn store(path: &Path) -> Result<Store, Failure> {
    match path.to_str().filter(|text| Remote::is_url(text)) {
        None => Ok(Store::new(path)),
        Some(url) => {
            let kept = cache(None)?.join(&Digest::of(url.trim_end_matches('/').as_bytes()).to_string()[..16]);
            Ok(Store::of_remote(remote(url)?, &kept))
        }
    }
}

/// Returns a remote place.
pub(super) fn remote(url: &str) -> Result<Remote, Failure> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let access = Access {
        patience: None,
        endpoint: set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")),
        region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
        credentials: set("AWS_ACCESS_KEY_ID")
            .zip(set("AWS_SECRET_ACCESS_KEY"))
            .map(|(key, secret)| (key, secret, set("AWS_SESSION_TOKEN"))),
        clock: &MachineClock,
    };
    Ok(Remote::new(url, &access)?)
}

/// Has the catalog of an archive on disk lie in this person's own cache folder.
pub(super) fn own_catalog(archive: Archive, ui: &Ui) -> Result<Archive, Failure> {
    if archive.store().remote().is_some() {
        return Ok(archive);
    }
    let root = archive.store().path("");
    let root = root.canonicalize().unwrap_or(root);
    let name = Digest::of(format!("{}\n{}", archive.origin(), root.display()).as_bytes()).to_string();
    let path = cache(ui.config.as_deref())?.join(&name[..16]).join("catalog.sqlite");
    Ok(archive.catalog_at(path))
}

/// Returns the folder of caches; beside a configuration that was named, if none is named itself.
fn cache(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("VELLUM_CACHE")
        .or_else(|| config.map(|config| config.join("cache")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("vellum")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/vellum")))
        .ok_or_else(|| Failure::new("no cache folder: HOME is not set").hint("name one in VELLUM_CACHE"))
}
