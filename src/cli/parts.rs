//! Parts of split packs that a person names together: which of them are missing among them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::format::manifest::{Manifest, PartOf};
use crate::ids::BundleId;

/// The parts that were named.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// By what all parts of a pack have in common: archive, name without the number, title.
    packs: BTreeMap<(String, String, String), Vec<Named>>,
    /// The ids of all bundles, and of those that they replace after a withdrawal.
    there: HashSet<BundleId>,
}

#[derive(Debug)]
struct Named {
    file: String,
    id: BundleId,
    part: PartOf,
}

/// A part that is missing.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    /// The name of its pack.
    pack: String,
    part: u64,
    /// Its id, where a part after it states that.
    bundle: Option<String>,
    /// The part beside it that shows that it exists.
    beside: String,
}

impl Parts {
    pub(super) fn add(&mut self, file: &Path, id: BundleId, manifest: &Manifest) {
        self.there.insert(id);
        self.there.extend(&manifest.replaces);
        let Some(part) = manifest.part else { return };
        let archive = manifest.archive.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = manifest.name.as_str();
        let base = name.strip_suffix(&format!("-{}", part.number)).filter(|_| part.number > 1).unwrap_or(name);
        let named = Named { file: file.display().to_string(), id, part };
        self.packs.entry((archive, base.to_owned(), manifest.title.clone())).or_default().push(named);
    }

    /// Returns the parts before, between and after those of a pack of which at least two were named.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        for ((_, pack, _), named) in &self.packs {
            let distinct: HashSet<BundleId> = named.iter().map(|named| named.id).collect();
            if distinct.len() < 2 {
                continue;
            }
            let mut of = |named: &Named, part: u64, id: Option<BundleId>| {
                let bundle = id.map(|id| id.to_string());
                missing.push(Missing { pack: pack.clone(), part, bundle, beside: named.file.clone() });
            };
            for named in named {
                if let Some(before) = named.part.after.filter(|before| !self.there.contains(before)) {
                    of(named, named.part.number - 1, Some(before));
                }
            }
            let last = named.iter().max_by_key(|named| named.part.number);
            if let Some(named) = last.filter(|named| !named.part.last) {
                of(named, named.part.number + 1, None);
            }
        }
        missing
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pack, part, bundle, beside } = self;
        write!(f, "notice: part {part} of {pack:?} is not among these files")?;
        match bundle {
            Some(id) => write!(f, ": {beside} comes after it, bundle {id}"),
            None => write!(f, ": {beside} is not the last part"),
        }
    }
}
