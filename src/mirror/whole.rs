//! Whether an archive holds everything that its log has, by name and size: what a witness cosigns, and what is pushed.

use std::fs;

use crate::archive::history::{Form, LoggedBundle};
use crate::archive::{Archive, History, layout};
use crate::store::Store;
use crate::trust::policy;

use super::Error;

/// Returns the form of a bundle that lies in a folder, by its size; what lies there was checked before it got there.
pub(super) fn form_in<'a>(store: &Store, logged: &'a LoggedBundle) -> Option<&'a Form> {
    let is_there = |form: &&Form| {
        let found = fs::metadata(store.path(&layout::bundle(logged.id, &form.file)));
        found.is_ok_and(|found| found.is_file() && found.len() == form.size)
    };
    logged.credible().find(is_there)
}

/// Returns the first thing that the log has and the archive lacks, with what is wrong with it.
pub(super) fn lack(archive: &Archive, history: &History) -> Result<Option<String>, Error> {
    let store = archive.store();
    let missing = |place: &str| format!("{place} is missing");
    if let Some(place) = history.missing.first() {
        return Ok(Some(missing(place)));
    }
    if let Some(logged) = history.held().find(|logged| form_in(store, logged).is_none()) {
        let form = logged.newest();
        let place = layout::bundle(logged.id, &form.file);
        return Ok(Some(match fs::metadata(store.path(&place)) {
            Ok(found) if found.is_file() => {
                format!("{place} has {} bytes, its leaf says {}", found.len(), form.size)
            }
            _ => missing(&place),
        }));
    }
    let policies = history.policies.keys().map(|version| policy::place(*version));
    Ok(history
        .documents
        .keys()
        .cloned()
        .chain(policies)
        .find(|place| !store.exists(place))
        .map(|place| missing(&place)))
}
