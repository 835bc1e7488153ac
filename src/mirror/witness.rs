//! Witnesses: a mirror cosigns the checkpoint of the log that it holds. (C2SP tlog-cosignature; FORMAT.md, "Mirrors")
//!
//! A cosignature says: this witness has seen one history only; and who holds a whole copy says that too, of bundles that it has read. What was
//! cosigned last is on disk before the cosignature leaves the process, and belongs to the key, not to a folder: a witness never goes back.

use crate::archive::{Archive, Lock, Pin, Vouched, layout};
use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::keys::{Note, Signer, VerifierKey};
use crate::run::Run;
use crate::store::{Hashed, Store, Write};

use super::checked::Checked;
use super::whole::{form_in, lack};
use super::{Error, bundle};

/// A cosignature that was made.
#[derive(Debug)]
pub struct Cosigned {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witness's key.
    pub witness: VerifierKey,
}

/// Who cosigns.
pub struct Witness<'a> {
    /// Its name for ever.
    pub name: &'a str,
    /// Its key.
    pub signer: &'a dyn Signer,
    /// A folder of this key's own, where it remembers what it cosigned of this log.
    pub memory: &'a Store,
    /// Now, in seconds since 1970.
    pub time: u64,
    /// After how many days a bundle is read again, although its file has not changed.
    pub max_check_days: u32,
}

/// What a witness cosigned last, in its memory.
const LAST: &str = "cosigned";

/// Cosigns the checkpoint of a mirror. All of its log must be there; unless the policy says of the witness that it keeps no whole copy, so must
/// all of its bundles, which are read where they have changed or have not been read for long.
///
/// # Errors
/// [`Error::Incomplete`] where something is not there; [`Error::BadBundle`] where a bundle is damaged; [`Error::Backwards`] where this key has
/// cosigned something later, or something else.
pub fn cosign(archive: &Archive, pin: &Pin, witness: &Witness<'_>, who: &str, run: Run<'_>) -> Result<Cosigned, Error> {
    let archive = &archive.knowing_nothing();
    let store = archive.store();
    let _lock = Lock::take(store, who, run.clock)?;
    let _memory = Lock::take(witness.memory, who, run.clock)?;
    // Only now: a sync may have brought the mirror further before the lock was free.
    let vouched = archive.vouched(pin, run)?;
    let key = VerifierKey::of_witness(witness.name, witness.signer.public())?;
    let (now, mut note) = (&vouched.checkpoint, vouched.note.clone());
    archive.log(now).root(now.size)?;
    if vouched.witnesses().iter().find(|of_policy| of_policy.key == key).is_none_or(|of_policy| of_policy.holds) {
        read_all(archive, &vouched, witness, run)?;
    }
    if witness.memory.exists(LAST) {
        let before = Note::parse(&witness.memory.read(LAST, MAX_CHECKPOINT_BYTES)?)?;
        let before = crate::archive::read_checkpoint(before.text(), archive.origin())?;
        if before.size > now.size {
            return Err(Error::Backwards(format!("this key cosigned {} leaves, these are {}", before.size, now.size)));
        }
        if archive.log(now).root(before.size)? != before.root {
            return Err(Error::Backwards(format!("this key cosigned another history of {} leaves", before.size)));
        }
    }
    note.cosign(witness.name, witness.signer, witness.time)?;
    let bytes = note.to_string().into_bytes();
    witness.memory.put(LAST, &bytes, Write::Replace)?;
    let mut places = vec![(checkpoint::NAME.to_owned(), bytes.clone())];
    if store.exists(layout::HELD) {
        places.insert(0, (layout::HELD.to_owned(), bytes));
    }
    store.put_all(&places)?;
    Ok(Cosigned { checkpoint: now.clone(), witness: key })
}

/// P6: a holder has every bundle, and reads those that have changed or were not read for long.
fn read_all(archive: &Archive, vouched: &Vouched, witness: &Witness<'_>, run: Run<'_>) -> Result<(), Error> {
    let store = archive.store();
    if let Some(lack) = lack(archive, &vouched.history)? {
        return Err(Error::Incomplete(lack));
    }
    let mut checked = Checked::read(store);
    let outcome = vouched.history.held().try_for_each(|logged| {
        let Some(form) = form_in(store, logged) else {
            return Err(Error::Incomplete(format!("bundle {} is missing", logged.id)));
        };
        let place = layout::bundle(logged.id, &form.file);
        if checked.holds(store, &place, form.file, (witness.time, witness.max_check_days)) {
            return Ok(());
        }
        let file = store.open(&place)?;
        let hashed = Hashed::new(&file);
        bundle::verify(&hashed, &vouched.history, logged)?;
        let digest = hashed.digest().map_err(|source| crate::format::bundle::Error::Io { doing: "reading", source })?;
        if digest != form.file {
            return Err(Error::BadBundle { id: logged.id, detail: "is not the file that was logged".into() });
        }
        checked.note(store, &place, form.file, witness.time);
        if run.watch.cancelled() { Err(crate::format::bundle::Error::Cancelled.into()) } else { Ok(()) }
    });
    // What was read is not read again because of another one that is damaged.
    checked.keep(store)?;
    outcome
}
