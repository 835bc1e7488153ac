//! What is wrong in many places of a file: named up to a number and then counted, so that memory does not grow with a hostile file.

use crate::finding::{Code, Finding};

/// The most findings of a kind that are named.
const MAX_NAMED: usize = 4096;

/// Findings of one kind, in order.
#[derive(Debug, Default)]
pub(super) struct Faults {
    named: Vec<Finding>,
    more: u64,
}

impl Faults {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.named.len() < MAX_NAMED {
            self.named.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Returns those named, and one that counts the others; `kind` says of what they are.
    pub(super) fn into_findings(mut self, code: Code, kind: &str) -> Vec<Finding> {
        if self.more > 0 {
            self.named.push(Finding::new(
                code,
                kind,
                format!("{} more things wrong with the {kind}, not named", self.more),
            ));
        }
        self.named
    }
}
