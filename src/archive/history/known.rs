//! What the leaves of a log said when they were last read, kept outside of the archive by whoever reads it, so that the next run reads only those
//! that are new, and checks no signature twice.
//!
//! It is believed as far as its leaves and the new ones lead to the root that was signed, and no further: another log's, an older copy's or a
//! damaged file's counts for nothing. An audit never asks for it.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::digest::{DIGEST_BYTES, Digest};
use crate::format::leaf::{Leaf, LeafSignature};
use crate::format::manifest::PartOf;
use crate::ids::{BundleId, KeyId, LeafIndex};
use crate::run::Run;
use crate::store::disk;

use super::leaves::{Carried, Leaves};
use super::{Facts, Form, LoggedBundle, Standing};

const MAGIC: &[u8] = b"vellum-known/1\n";
/// The largest file that is read, in bytes: some two million leaves.
const MAX_BYTES: u64 = 1 << 30;
/// How many leaves must be new, or signatures newly checked, that the file is worth writing anew.
const MIN_NEW: u64 = 256;
/// The same as a share of all leaves.
const MIN_SHARE: u64 = 64;

/// Reads what is known of a log; nothing where it cannot be read.
pub(super) fn read(path: &Path, run: Run<'_>) -> Option<Leaves> {
    let bytes = disk::read_small(path, MAX_BYTES, run).ok()?;
    let (digest, content) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<DIGEST_BYTES>()?;
    let mut rest = (*digest == *Digest::of(content).as_bytes()).then_some(content)?;
    let leaves = take_leaves(&mut rest)?;
    rest.is_empty().then_some(leaves)
}

/// Keeps what is known, if enough of it is new; where it cannot be kept, the next run reads it again.
pub(super) fn keep(path: &Path, leaves: &Leaves, new: u64, run: Run<'_>) {
    if new < MIN_NEW.max(leaves.size / MIN_SHARE) {
        return;
    }
    let mut content = Vec::new();
    put_leaves(leaves, &mut content);
    let bytes = [MAGIC, Digest::of(&content).as_bytes(), &content].concat();
    let written = path.parent().map_or(Ok(()), disk::make_private_folder).and_then(|()| disk::put(path, &bytes, run));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
}

fn put_leaves(leaves: &Leaves, out: &mut Vec<u8>) {
    leaves.size.put(out);
    leaves.tree.put(out);
    (leaves.bundles.len() as u64).put(out);
    for (bundle, carried) in leaves.bundles.iter().zip(&leaves.carried) {
        put_bundle(bundle, out);
        carried.put(out);
    }
    leaves.others().collect::<Vec<_>>().put(out);
    leaves.void.put(out);
}

fn take_leaves(input: &mut &[u8]) -> Option<Leaves> {
    let mut leaves = Leaves { size: u64::take(input)?, tree: Vec::take(input)?, ..Leaves::default() };
    let count = usize::take(input)?;
    leaves.bundles.reserve_exact(count.min(input.len() / DIGEST_BYTES));
    leaves.carried.reserve_exact(leaves.bundles.capacity());
    for at in 0..count {
        let bundle = take_bundle(input)?;
        leaves.by_id.insert(bundle.id, at);
        leaves.bundles.push(bundle);
        leaves.carried.push(Vec::take(input)?);
    }
    for (index, leaf) in Vec::take(input)? {
        leaves.take_other(index, leaf);
    }
    leaves.void = Vec::take(input)?;
    Some(leaves)
}

fn put_bundle(bundle: &LoggedBundle, out: &mut Vec<u8>) {
    let Facts { articles, files, bytes, root, repeated, part, base, replaces, reinstates } = &bundle.facts;
    let void = match &bundle.standing {
        Standing::Counts => None,
        Standing::Void(why) => Some(why.clone()),
    };
    (bundle.id, bundle.place).put(out);
    ((*articles, *files), (*bytes, *base)).put(out);
    (*root, *repeated).put(out);
    part.map(|part| (part.number, (part.after, part.last))).put(out);
    replaces.put(out);
    reinstates.put(out);
    bundle.forms.put(out);
    void.put(out);
}

fn take_bundle(input: &mut &[u8]) -> Option<LoggedBundle> {
    let (id, place) = Kept::take(input)?;
    let ((articles, files), (bytes, base)) = Kept::take(input)?;
    let (root, repeated) = Kept::take(input)?;
    let part = <Option<_> as Kept>::take(input)?.map(|(number, (after, last))| PartOf { number, after, last });
    let (replaces, reinstates) = (Vec::take(input)?, Vec::take(input)?);
    let facts = Facts { articles, files, bytes, root, repeated, part, base, replaces, reinstates };
    let forms: Vec<Form> = Vec::take(input)?;
    let standing = <Option<_> as Kept>::take(input)?.map_or(Standing::Counts, Standing::Void);
    let (signed, replaced, line) = (Vec::new(), None, None);
    (!forms.is_empty()).then_some(LoggedBundle { id, place, facts, forms, signed, standing, replaced, line })
}

/// What can be kept: numbers are little-endian, and what may be long begins with its length.
trait Kept: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Option<Self>;
}

impl<const N: usize> Kept for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let (taken, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(*taken)
    }
}

impl<T: Kept, U: Kept> Kept for (T, U) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some((T::take(input)?, U::take(input)?))
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        if bool::take(input)? { Some(Some(T::take(input)?)) } else { Some(None) }
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        (0..u64::take(input)?).map(|_| T::take(input)).collect()
    }
}

/// Implements [`Kept`] by way of another type that is.
macro_rules! kept {
    ($($name:ty, $as:ty, |$value:ident| $put:expr, |$taken:ident| $take:expr;)*) => {
        $(impl Kept for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                <$as as Kept>::put(&$put, out);
            }

            fn take(input: &mut &[u8]) -> Option<Self> {
                let $taken = <$as as Kept>::take(input)?;
                $take
            }
        })*
    };
}

kept! {
    u8, [u8; 1], |value| [*value], |taken| Some(taken[0]);
    bool, u8, |value| u8::from(*value), |taken| (taken < 2).then_some(taken == 1);
    u64, [u8; 8], |value| value.to_le_bytes(), |taken| Some(Self::from_le_bytes(taken));
    usize, u64, |value| *value as u64, |taken| Self::try_from(taken).ok();
    i64, [u8; 8], |value| value.to_le_bytes(), |taken| Some(Self::from_le_bytes(taken));
    String, Vec<u8>, |value| value.as_bytes().to_vec(), |taken| Self::from_utf8(taken).ok();
    Digest, [u8; DIGEST_BYTES], |value| *value.as_bytes(), |taken| Some(Self::from_bytes(taken));
    BundleId, Digest, |value| value.0, |taken| Some(Self(taken));
    LeafIndex, u64, |value| value.0, |taken| Some(Self(taken));
    Form, (LeafIndex, (u64, Digest)), |form| (form.leaf, (form.size, form.file)),
        |taken| { let (leaf, (size, file)) = taken; Some(Self { leaf, size, file }) };
    Leaf, Vec<u8>, |leaf| leaf.to_string().into_bytes(), |taken| Self::decode(&taken).ok();
    LeafSignature, (([u8; 8], [u8; 32]), (([u8; 64], [u8; 64]), i64)),
        |it| ((*it.id.as_bytes(), it.key), ((it.content, it.global), it.time.as_second())),
        |taken| {
            let ((id, key), ((content, global), time)) = taken;
            let (id, time) = (KeyId::from_bytes(id), Timestamp::from_second(time).ok()?);
            Some(Self { id, key, content, global, time })
        };
    Carried, (LeafIndex, (Vec<[u8; 32]>, Vec<LeafSignature>)),
        |carried| (carried.leaf, (carried.good.clone(), carried.unchecked.clone())),
        |taken| { let (leaf, (good, unchecked)) = taken; Some(Self { leaf, good, unchecked }) };
}
