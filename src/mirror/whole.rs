//! Whether an archive holds everything that its log has, by name and size: what a witness cosigns, and what is pushed.

use std::collections::HashSet;
use std::fs;

use crate::archive::{Archive, layout};
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};
use crate::trust::policy;

use super::Error;
use super::plan::Plan;

/// Returns the first thing that the log has and the archive lacks, with what is wrong with it.
pub(super) fn lack(archive: &Archive, plan: &Plan) -> Result<Option<String>, Error> {
    let store = archive.store();
    let missing = |place: &str| format!("{place} is missing");
    let mut replaced = HashSet::new();
    for withdrawn in &plan.withdrawn {
        let place = layout::statement(&withdrawn.statement);
        if !store.exists(&place) {
            return Ok(Some(missing(&place)));
        }
        let statement = match Withdrawal::decode(&store.read(&place, MAX_WITHDRAWAL_BYTES)?) {
            Ok(statement) => statement,
            Err(fault) => return Ok(Some(format!("{place}: {fault}"))),
        };
        for (old, _) in &statement.bundles {
            // What was deposited again after its withdrawal counts.
            let before = plan.bundles.iter().filter(|logged| logged.id == *old && logged.index < withdrawn.index);
            replaced.extend(before.map(|logged| logged.index));
        }
    }
    for logged in plan.bundles.iter().filter(|logged| !replaced.contains(&logged.index)) {
        let place = layout::bundle(logged.id, &logged.file);
        match fs::metadata(store.path(&place)) {
            Ok(found) if found.is_file() && found.len() == logged.size => {}
            Ok(found) if found.is_file() => {
                let (expected, found) = (logged.size, found.len());
                return Ok(Some(format!("{place} has {found} bytes, its leaf says {expected}")));
            }
            _ => return Ok(Some(missing(&place))),
        }
    }
    let policies = plan.policies.iter().map(|(_, version, _)| policy::place(*version));
    Ok(plan.documents.keys().cloned().chain(policies).find(|place| !store.exists(place)).map(|place| missing(&place)))
}
