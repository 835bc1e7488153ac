//! Packing a folder: one walk, one reading of every file, one or several bundles. (FORMAT.md, "Articles" and "The bundle")
//!
//! Metadata is read, checked and compressed while the walk goes on, so that everything wrong with it is known before the content is
//! touched; then the content, frames in parallel; then list, manifest, signatures and table. The bundles stay unnamed temporary files
//! until all of them are whole and on disk.

mod content;
mod metadata;
mod spool;

pub use metadata::article_id;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use jiff::Timestamp;
use tempfile::{NamedTempFile, TempPath};

use crate::digest::Digest;
use crate::format::bundle::{Bundle, BundleWriter, Contents, LIST_LEVEL, SMALL_LEVEL, SignatureFile, Tail};
use crate::format::checksums::{self, ChecksumList, DATA, MAX_ARTICLES, MAX_FILES, METADATA, push_line};
use crate::format::framing::{self, Cut, SMALL_BYTES};
use crate::format::manifest::{Manifest, Name, PartOf};
use crate::format::{times, tree};
use crate::ids::{BundleId, Origin};
use crate::keys::{Comment, Kind, Signature, Signer};
use crate::run::Run;
use crate::watch::Task;

use super::publish;
use super::stat::Stat;
use super::walk::{Event, FoundArticle, Note, Reason, Refusal, Stopped, WalkOptions, walk};
use super::{Error, derive};
use content::Content;

/// A bundle closes before the article that would bring its content over this, in bytes.
pub const BUNDLE_BYTES: u64 = 1 << 30;
/// The level of zstd, if nothing else is asked.
pub const LEVEL: i32 = 3;
/// Articles that the walk may be ahead.
const WALK_AHEAD: usize = 4096;

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The bundle's name; each further part of a split pack adds its number.
    pub name: Name,
    /// The bundle's title.
    pub title: String,
    /// The file's name in the output folder; by default the bundle's name and a part of its id. Only for a pack that is one bundle.
    pub file: Option<OsString>,
    /// The archive that the bundle is made for.
    pub archive: Option<Origin>,
    /// What the walk takes and leaves.
    pub walk: WalkOptions,
    /// Refuse derived metadata and unknown keys.
    pub strict: bool,
    /// Refuse names that not every file system can hold.
    pub portable: bool,
    /// Level of zstd.
    pub level: i32,
    /// Plain size that frames are filled to, in bytes.
    pub frame_bytes: u64,
    /// Where a bundle closes, in bytes of content.
    pub bundle_bytes: u64,
    /// The time that signatures claim.
    pub time: Timestamp,
    /// Replace a bundle of the same id.
    pub overwrite: bool,
    /// Keep the files' times.
    pub times: bool,
    /// The size of the log of the archive that the bundle is packed for.
    pub base: Option<u64>,
    /// The statements of withdrawal that the bundle undoes, ascending.
    pub reinstates: Vec<Digest>,
}

/// A bundle that was made.
#[derive(Debug, Clone)]
pub struct PackedBundle {
    /// Where it lies.
    pub file: PathBuf,
    /// Its id.
    pub id: BundleId,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its size, in bytes.
    pub file_bytes: u64,
    /// Whether a bundle of this id lay there already and was left as it was.
    pub kept: bool,
}

/// What a pack did.
#[derive(Debug, Default)]
pub struct Packed {
    /// The bundles, in order.
    pub bundles: Vec<PackedBundle>,
    /// Articles whose metadata was derived, by what it came from.
    pub derived: BTreeMap<String, u64>,
    /// What a person should know, by place.
    pub notes: Vec<(String, Note)>,
}

/// An article whose metadata has been read.
struct Planned {
    found: FoundArticle,
    /// Its id, where that is not its path.
    id: Option<String>,
    /// Digest and size of its `article.toml`.
    metadata: (Digest, u64),
    /// The file that its metadata was derived from, as it was then.
    derived_from: Option<(usize, Stat)>,
}

/// Everything of one bundle that is known before its content is read.
struct Draft {
    name: Name,
    articles: Vec<Planned>,
    metadata_frames: BundleWriter<spool::Spool>,
    /// The stretch of the tar that those frames hold, where it is small; else empty.
    small_metadata: Vec<u8>,
    /// Whether articles are left for a further bundle.
    more: bool,
}

/// Packs `root` into bundles in the folder `output`, signed by `signers`.
///
/// # Errors
/// [`Error::Refused`] lists everything that cannot be taken; nothing is then left behind. Other errors end the pack at once,
/// likewise without a trace.
pub fn pack(
    root: &Path,
    output: &Path,
    options: &PackOptions,
    signers: &[&dyn Signer],
    run: Run<'_>,
) -> Result<Packed, Error> {
    pack_chosen(root, output, options, signers, &mut Everything, run)
}

/// Returns path and digest of each of an article's files as they are now; of its metadata too, unless that would have to be derived
/// and `derive` says not to.
///
/// # Errors
/// Where a file cannot be read, or its metadata not be derived.
pub fn article_digests(article: &FoundArticle, derive: bool) -> Result<Vec<(String, Digest)>, Error> {
    let mut lines = Vec::with_capacity(article.files.len() + 1);
    for file in &article.files {
        let place = file.location();
        let digest = super::read::digest(&place).map_err(|source| Error::Read { path: place, source })?;
        lines.push((format!("{}{}/{}", checksums::DATA, article.path, file.name), digest));
    }
    let metadata = match &article.metadata {
        Some(file) => {
            let place = file.location();
            Some(super::read::digest(&place).map_err(|source| Error::Read { path: place, source })?)
        }
        None if derive => metadata::derive_one(article).ok().map(|derived| Digest::of(derived.0.as_bytes())),
        None => None,
    };
    lines.extend(metadata.map(|digest| (format!("{}{}/{METADATA}", checksums::DATA, article.path), digest)));
    Ok(lines)
}

/// What becomes of an article that was found.
#[derive(Debug)]
pub enum Choice {
    /// It is packed.
    Take(FoundArticle),
    /// It is left where it is.
    Leave,
    /// It cannot be taken.
    Refuse(Refusal),
}

/// Chooses which of the articles that the walk finds are packed; asked in the order of the walk.
pub trait Choose: Send {
    /// Chooses.
    fn choose(&mut self, article: FoundArticle) -> Choice;
}

/// Takes whatever there is.
struct Everything;

impl Choose for Everything {
    fn choose(&mut self, article: FoundArticle) -> Choice {
        Choice::Take(article)
    }
}

/// Packs those articles of `root` that `choose` takes.
///
/// # Errors
/// As for [`pack`]; [`Error::NoArticles`] also where none was taken.
pub fn pack_chosen(
    root: &Path,
    output: &Path,
    options: &PackOptions,
    signers: &[&dyn Signer],
    choose: &mut dyn Choose,
    run: Run<'_>,
) -> Result<Packed, Error> {
    super::readable(root)?;
    publish::refuse_inside(output, root)?;
    run.watch.begin(Task::Pack, None);
    let (sender, receiver) = mpsc::sync_channel(WALK_AHEAD);
    thread::scope(|scope| {
        scope.spawn(move || {
            walk(root, &options.walk, &mut |event| {
                let event = match event {
                    Event::Article(article) => match choose.choose(article) {
                        Choice::Take(article) => Event::Article(article),
                        Choice::Refuse(refusal) => Event::Refused(refusal),
                        Choice::Leave => return Ok(()),
                    },
                    other => other,
                };
                sender.send(event).map_err(|_| Stopped)
            })
        });
        Packer { root, output, options, signers, run, found: Packed::default(), refusals: Vec::new(), planned: 0 }
            .run(receiver)
    })
}

struct Packer<'a> {
    root: &'a Path,
    output: &'a Path,
    options: &'a PackOptions,
    signers: &'a [&'a dyn Signer],
    run: Run<'a>,
    found: Packed,
    refusals: Vec<Refusal>,
    /// How much of all tars is content, as far as it is known, in bytes.
    planned: u64,
}

/// A finished bundle that has no name yet. Its file is closed: a pack may make more bundles than a process may have open.
struct Unnamed {
    file: TempPath,
    bundle: PackedBundle,
}

impl Packer<'_> {
    fn run(mut self, mut walked: mpsc::Receiver<Event>) -> Result<Packed, Error> {
        let mut unnamed: Vec<Unnamed> = Vec::new();
        let mut waiting = None;
        loop {
            let name = self.options.name.part(unnamed.len() as u64 + 1).map_err(Error::Name)?;
            let draft = self.gather(&mut walked, &mut waiting, name)?;
            if !self.refusals.is_empty() {
                self.drain(walked);
                return Err(Error::Refused(self.refusals));
            }
            if draft.articles.is_empty() {
                return Err(Error::NoArticles(self.root.to_owned()));
            }
            let more = draft.more;
            if let Some(file) = self.options.file.as_ref().filter(|_| more) {
                return Err(Error::Several(self.output.join(file)));
            }
            let before = unnamed.last().map(|before| before.bundle.id);
            let number = unnamed.len() as u64 + 1;
            let part = (more || number > 1).then_some(PartOf { number, after: before, last: !more });
            let bundle = self.make(draft, part)?;
            unnamed.push(bundle);
            if !more {
                break;
            }
        }
        for Unnamed { file, mut bundle } in unnamed {
            let open = File::open(&file).map_err(|source| Error::Read { path: file.to_path_buf(), source })?;
            let (file, signers) = (NamedTempFile::from_parts(open, file), self.signers);
            bundle.kept = publish::place(file, &bundle.file, bundle.id, signers, self.options.overwrite, self.run)?;
            self.found.bundles.push(bundle);
        }
        publish::sync_folder(self.output)?;
        Ok(self.found)
    }

    /// Takes the rest of the walk only for its refusals, so that a person hears of all of them at once.
    fn drain(&mut self, walked: mpsc::Receiver<Event>) {
        for event in walked {
            if let Event::Refused(refusal) = event {
                self.refusals.push(refusal);
            }
        }
    }

    /// Reads content, writes and signs one bundle, and brings it to disk without a name.
    fn make(&mut self, mut draft: Draft, part: Option<PartOf>) -> Result<Unnamed, Error> {
        let file = publish::unnamed(self.output)?;
        let write = |source| Error::Write { path: self.output.to_owned(), source };
        let mut writer = BundleWriter::new(BufWriter::with_capacity(1 << 20, file.reopen().map_err(write)?));
        let hold = match draft.small_metadata.len() as u64 == draft.metadata_frames.plain() {
            true => SMALL_BYTES.saturating_sub(draft.metadata_frames.plain()),
            false => 0,
        };
        let members = content::members(&mut draft);
        let Content { members, digests, held } = self.content(&draft.name, members, hold, &mut writer)?;
        self.refuse_underived(&draft, &members)?;

        let files = members.iter().zip(&digests).map(|(member, digest)| (*digest, member.file.stat));
        let contents = self.contents(&draft, files)?;
        let blocks = contents.blocks();
        let (pieces, head, tail_at) = contents.index(&blocks);
        let after = contents.after_files(&pieces);
        let (level, first) = (self.options.level, writer.plain());
        match held {
            Some(mut plain) if tail_at <= SMALL_BYTES => {
                plain.extend_from_slice(&draft.small_metadata);
                plain.extend_from_slice(&after);
                let cut = Cut { from: 0, to: tail_at, kind: framing::Kind::Plain };
                writer.push_cuts(&[cut], &plain, level.max(SMALL_LEVEL))?;
            }
            held => {
                if let Some(plain) = held {
                    let to = plain.len() as u64;
                    writer.push_cuts(&[Cut { from: first, to, kind: framing::Kind::Plain }], &plain, level)?;
                }
                spool::append(&mut writer, draft.metadata_frames)?;
                writer.push_cuts(&contents.cuts_after_files(&head, tail_at), &after, LIST_LEVEL)?;
            }
        }
        let manifest = Manifest {
            archive: self.options.archive.clone(),
            name: draft.name,
            title: self.options.title.clone(),
            articles: draft.articles.len() as u64,
            files: contents.list.len() as u64,
            bytes: contents.bytes(),
            checksums: Digest::of(contents.list.text().as_bytes()),
            root: tree::root(&blocks),
            times: contents.times.as_ref().map(|times| Digest::of(times)),
            part,
            base: self.options.base,
            replaces: Vec::new(),
            reinstates: self.options.reinstates.clone(),
        };
        let text = manifest.to_string();
        let id = BundleId(Digest::of(text.as_bytes()));
        let signatures = sign_manifest(&text, self.options.archive.as_ref(), self.options.time, self.signers)?;
        let (_, file_bytes) = writer.finish(&Tail::new(&manifest, signatures, &head))?;
        // What a reader would refuse gets no name.
        let read_back = Bundle::open(file.as_file())?;
        read_back.contents()?;
        file.as_file().sync_all().map_err(write)?;
        let file_name = self.options.file.clone();
        let path = self.output.join(file_name.unwrap_or_else(|| publish::bundle_name(&manifest.name, id).into()));
        let file = file.into_temp_path();
        Ok(Unnamed { file, bundle: PackedBundle { file: path, id, manifest, file_bytes, kept: false } })
    }

    /// Makes the checksum list of a bundle, and says where its files lie. `content` has digest and state of each content file in order.
    fn contents(&self, draft: &Draft, content: impl Iterator<Item = (Digest, Stat)>) -> Result<Contents, Error> {
        let mut content = content;
        let (mut text, mut sizes, mut changed) = (String::new(), Vec::new(), Vec::new());
        for Planned { found, metadata, .. } in &draft.articles {
            let before = found.files.partition_point(|file| *file.name < *METADATA);
            for n in 0..=found.files.len() {
                let (name, digest, size, time) = match n.cmp(&before) {
                    Ordering::Equal => {
                        let time = found.metadata.as_ref().and_then(|file| file.stat.modified());
                        (METADATA, metadata.0, metadata.1, time)
                    }
                    other => {
                        let file = &found.files[if other == Ordering::Less { n } else { n - 1 }];
                        let Some((digest, stat)) = content.next() else { continue };
                        (file.name.as_str(), digest, stat.size, stat.modified())
                    }
                };
                push_line(&mut text, &format!("{DATA}{}/{name}", found.path), &digest);
                sizes.push(size);
                changed.push(time);
            }
        }
        let list = ChecksumList::decode(text.into_bytes()).map_err(Error::List)?;
        let times = self.options.times.then(|| times::encode(&list, |line| changed[line]).into_bytes());
        let ids = draft.articles.iter().map(|article| article.id.as_deref().map(Box::from)).collect();
        Ok(Contents::new(draft.name.as_str(), list, &sizes, ids, times))
    }

    /// Makes sure that metadata derived from a file fits what was packed of it.
    fn refuse_underived(&self, draft: &Draft, members: &[content::Member]) -> Result<(), Error> {
        let by_location: HashMap<PathBuf, Stat> = if draft.articles.iter().any(|a| a.derived_from.is_some()) {
            members.iter().filter(|m| m.reread).map(|m| (m.file.location(), m.file.stat)).collect()
        } else {
            HashMap::new()
        };
        for article in &draft.articles {
            let Some((from, stat)) = article.derived_from else { continue };
            let file = &article.found.files[from];
            if let Some(now) = by_location.get(&file.location())
                && *now != stat
            {
                let again = super::read::open(&file.location()).ok();
                let again = again.and_then(|mut open| derive::derive(&file.name, &mut open, now.size).ok());
                let same = again.is_some_and(|d| Digest::of(d.to_toml().as_bytes()) == article.metadata.0);
                if !same {
                    return Err(Error::KeepsChanging(file.location()));
                }
            }
        }
        Ok(())
    }
}

/// Signs a manifest's text with each signer.
///
/// # Errors
/// Where a signer fails, or two have the same key id.
pub(crate) fn sign_manifest(
    text: &str,
    archive: Option<&Origin>,
    time: Timestamp,
    signers: &[&dyn Signer],
) -> Result<Vec<SignatureFile>, Error> {
    let mut signatures: Vec<SignatureFile> = Vec::new();
    for signer in signers {
        let comment = Comment::new(Kind::Manifest, archive.map(Origin::as_str), Digest::of(text.as_bytes()), time)?;
        let signature = Signature::sign(*signer, text.as_bytes(), &comment)?;
        let key_id = signer.public().id().to_string();
        if signatures.iter().any(|other| other.key_id == key_id) {
            return Err(Error::SameKeyId(key_id));
        }
        signatures.push(SignatureFile { key_id, bytes: signature.to_string().into_bytes() });
    }
    Ok(signatures)
}

/// The caps that close a bundle.
struct Caps {
    articles: u64,
    files: u64,
    bytes: u64,
}

impl Caps {
    /// Counts an article in; `false` where it must open the next bundle.
    fn take(&mut self, article: &FoundArticle, limit: u64) -> bool {
        let files = article.files.len() as u64 + 1;
        let bytes = article.files.iter().chain(&article.metadata).map(|file| file.stat.size).sum::<u64>();
        let empty = self.articles == 0;
        let fits = self.articles < MAX_ARTICLES && self.files + files <= MAX_FILES && self.bytes + bytes <= limit;
        if fits || empty {
            self.articles += 1;
            self.files += files;
            self.bytes += bytes;
        }
        fits || empty
    }
}

impl PackOptions {
    /// Returns options for a bundle of this name, everything else as it is without being asked.
    pub fn new(name: Name, title: String, time: Timestamp) -> Self {
        Self {
            name,
            title,
            file: None,
            archive: None,
            walk: WalkOptions::default(),
            strict: false,
            portable: false,
            level: LEVEL,
            frame_bytes: framing::FRAME_BYTES,
            bundle_bytes: BUNDLE_BYTES,
            time,
            overwrite: false,
            times: false,
            base: None,
            reinstates: Vec::new(),
        }
    }
}

/// Refuses an article of more files than a bundle may have.
fn too_many_files(article: &FoundArticle) -> Option<Refusal> {
    let files = article.files.len() as u64 + 1;
    let place = article.path.to_string();
    (files > MAX_FILES).then_some(Refusal { place, reason: Reason::TooManyFiles(files) })
}
