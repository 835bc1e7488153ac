//! Asking a public witness to cosign: the checkpoint, with the proof that it extends what the witness has seen. (C2SP tlog-witness)
//!
//! The witness is told the size that it saw last; where it has seen another one, it says so, and is asked again with the proof from there. What
//! it answers is taken only where it is a good cosignature, of this checkpoint, by a key that the policy or a person names.

use base64ct::{Base64, Encoding};

use crate::archive::{Archive, Lock, Pin};
use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::keys::{Note, VerifierKey};
use crate::run::Run;
use crate::store::{Remote, Write};

use super::Error;

/// Where a witness takes checkpoints, below its address.
const ADD_CHECKPOINT: &str = "add-checkpoint";
/// How often a witness is asked: it may have seen another checkpoint since it answered.
const MAX_TRIALS: usize = 4;
/// The type of an answer that is the size which the witness has seen.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// Has a witness cosign the archive's checkpoint, and adds its cosignature; returns the names of the witnesses whose cosignatures are new.
///
/// # Errors
/// [`Error::Witness`] where it does not, or what it answers is no cosignature by a known witness; where the checkpoint cannot be read or written.
pub fn submit(
    archive: &Archive,
    pin: &Pin,
    witness: &Remote,
    more: &[VerifierKey],
    who: &str,
    run: Run<'_>,
) -> Result<Vec<String>, Error> {
    let store = archive.store();
    let _lock = Lock::take(store, who, run.clock)?;
    let vouched = archive.vouched(pin, run)?;
    let refused = |why: String| Error::Witness { witness: witness.name().to_owned(), why };
    let (now, mut note) = (&vouched.checkpoint, vouched.note.clone());
    let lines = ask(archive, now, &note, witness, run)?;
    let answered = Note::parse(format!("{}\n{lines}", note.text()).as_bytes());
    let answered = answered.map_err(|error| refused(format!("answers with no cosignature: {error}")))?;
    let (mut known, mut new) = (false, Vec::new());
    for key in vouched.witnesses().iter().map(|of_policy| &of_policy.key).chain(more) {
        let time = answered.cosigned(key);
        known |= time.map_err(|error| refused(format!("its cosignature is wrong: {error}")))?.is_some();
        if note.take_cosignature(&answered, key)? {
            new.push(key.name().to_owned());
        }
    }
    if !known {
        return Err(refused("its cosignature is by no witness that is known here".into()));
    }
    if !new.is_empty() {
        store.put(checkpoint::NAME, note.to_string().as_bytes(), Write::Replace)?;
    }
    Ok(new)
}

/// Posts the checkpoint until the witness cosigns it, and returns the lines of its answer.
fn ask(archive: &Archive, now: &Checkpoint, note: &Note, witness: &Remote, run: Run<'_>) -> Result<String, Error> {
    let refused = |why: String| Error::Witness { witness: witness.name().to_owned(), why };
    let mut old = 0;
    for _ in 0..MAX_TRIALS {
        let proof = if old == 0 { Vec::new() } else { archive.log(now).consistency(old)? };
        let proof: String = proof.iter().map(|hash| Base64::encode_string(hash.as_bytes()) + "\n").collect();
        let body = format!("old {old}\n{proof}\n{note}");
        let answer = witness.post(ADD_CHECKPOINT, body.as_bytes(), MAX_CHECKPOINT_BYTES)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        match answer.status {
            200 => return Ok(text),
            409 if answer.kind.as_deref() == Some(SIZE_TYPE) => {
                let seen: u64 =
                    text.trim_end().parse().map_err(|_| refused(format!("answers 409 with no size: {text:?}")))?;
                if seen > now.size {
                    return Err(refused(format!("has seen {seen} leaves of this log, {} are here", now.size)));
                }
                if seen == old {
                    return Err(refused(format!("has seen another log of {seen} leaves by this log's key")));
                }
                old = seen;
            }
            422 => return Err(refused(format!("has seen another log of {old} leaves by this log's key"))),
            404 => return Err(refused(format!("does not know the log {}", now.origin))),
            403 => return Err(refused("knows another key of this log than the one that signs it".into())),
            503 | 429 => run.clock.sleep(answer.retry_after),
            status => return Err(refused(format!("answers {status}: {}", text.lines().next().unwrap_or_default()))),
        }
    }
    Err(refused(format!("did not cosign, asked {MAX_TRIALS} times")))
}
