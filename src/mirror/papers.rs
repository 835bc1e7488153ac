//! The small files that leaves name: statements, policies, documents. What the log says of them has been judged; here they are brought along.

use crate::archive::history::{LoggedStatement, Papers};
use crate::archive::{DOCUMENTS, History, layout};
use crate::digest::Digest;
use crate::keys::PublicKey;
use crate::store::{Failed, Write};
use crate::trust::policy;

use super::Error;
use super::sync::{Head, Work};

/// The longest document of an archive, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// The longest list of the keeper's own files, in bytes.
const MAX_OWN_BYTES: u64 = 1 << 20;
/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

impl Work<'_> {
    /// Reads from an origin what the mirror, which holds `held` leaves, lacks: places and bytes.
    pub(super) fn small_files(
        &mut self,
        head: &Head<'_>,
        history: &History,
        held: u64,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        // What is for whoever finds the archive is ours, and never put over what is there.
        for (name, text) in DOCUMENTS {
            if !self.mirror.exists(name) && !history.documents.contains_key(name) {
                files.push((name.to_owned(), text.as_bytes().to_vec()));
            }
        }
        let own = self.mirror.read(layout::OWN, MAX_OWN_BYTES).unwrap_or_default();
        let own: Vec<String> = String::from_utf8_lossy(&own).lines().map(str::to_owned).collect();
        for (name, document) in &history.documents {
            let there = self.mirror.read(name, MAX_DOCUMENT_BYTES).ok();
            if there.is_some_and(|bytes| Digest::of(&bytes) == document.file) {
                continue;
            }
            // What lies there since before any document of its name is the keeper's own, and stays so.
            if self.mirror.exists(name) && (document.first.0 >= held || own.contains(name)) {
                self.report.own.push(name.clone());
                continue;
            }
            // A document that nobody has keeps no bundle from anybody; `verify` names it as damage.
            match head.store.read(name, MAX_DOCUMENT_BYTES) {
                Ok(bytes) if Digest::of(&bytes) == document.file => files.push((name.clone(), bytes)),
                Err(error) if error.failed == Failed::Broken => return Err(error.into()),
                _ => self.report.absent.push(name.clone()),
            }
        }
        if self.report.own != own && !self.options.dry_run {
            let names: String = self.report.own.iter().map(|name| format!("{name}\n")).collect();
            self.mirror.put(layout::OWN, names.as_bytes(), Write::Replace)?;
        }
        let keys: Vec<PublicKey> = history.authority.keys().into_iter().map(|trusted| trusted.key).collect();
        // One that does not count must be there too: what nobody shows could be one that does.
        let refused = history.refused.iter().filter(|(version, _)| !history.policies.contains_key(version));
        let counting = history.policies.iter().map(|(version, (_, digest))| (version, digest));
        for (version, digest) in counting.chain(refused) {
            if self.mirror.policy(*version, digest)?.is_some() {
                continue;
            }
            // It was read when it was judged; an origin that has lost it since is asked no more.
            let Some(bytes) = head.store.policy(*version, digest)? else { continue };
            files.push((policy::place(*version), bytes));
            let place = |key: &PublicKey| policy::signature_place(*version, &key.id().to_string());
            self.signatures(head, &keys, place, &mut files)?;
        }
        let counting = history.statements.iter().map(|LoggedStatement { digest, .. }| digest);
        for digest in counting.chain(&history.refused_statements) {
            if self.mirror.statement(digest)?.is_some() {
                continue;
            }
            let Some(bytes) = head.store.statement(digest)? else { continue };
            files.push((layout::statement(digest), bytes));
            let place = |key: &PublicKey| layout::statement_signature(digest, &key.id().to_string());
            self.signatures(head, &keys, place, &mut files)?;
        }
        Ok(files)
    }

    /// Reads the signatures that lie beside a file; that they count, their leaves have shown.
    fn signatures(
        &self,
        head: &Head<'_>,
        keys: &[PublicKey],
        place: impl Fn(&PublicKey) -> String,
        files: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        for key in keys {
            match head.store.read(&place(key), MAX_SIGNATURE_BYTES) {
                Err(error) if error.is_not_found() => {}
                other => files.push((place(key), other?)),
            }
        }
        Ok(())
    }
}
