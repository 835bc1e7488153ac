//! A writer of bundles made from the text of the format alone, sharing nothing with the library.
//!
//! It works in stages. After each a lie may change what the stage has made; what comes after is made from the changed thing, and the
//! manifest is signed at the end, so that a lie sits in exactly one layer and all others speak for it.

use sha2::{Digest as _, Sha256};

use super::sign::{Key, Minisig, comment};
use super::tar::Member;
use super::zframe::{Frame, table};

pub const ARTICLES_A_BLOCK: usize = 256;
pub const METADATA: &[u8] = b"article.toml";
/// The seed of the key that the judges trust.
pub const TRUSTED: u8 = 7;

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder with metadata; with an empty path, what lies in `data/` itself.
#[derive(Clone)]
pub struct Article {
    pub path: Vec<u8>,
    /// The id that its metadata states, if it does.
    pub id: Option<Vec<u8>>,
    /// Names within the article, and bytes.
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Article {
    /// An article with metadata and one document.
    pub fn new(path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let document = [b"the document of ", path, b"\n"].concat();
        Self::bare(path).file("t.txt", document)
    }

    /// An article with metadata only.
    pub fn bare(path: impl AsRef<[u8]>) -> Self {
        let files = vec![(METADATA.to_vec(), b"title = \"A title\"\n".to_vec())];
        Self { path: path.as_ref().to_vec(), id: None, files }
    }

    pub fn file(mut self, name: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((name.as_ref().to_vec(), bytes.as_ref().to_vec()));
        self
    }

    /// Sets an id, and states it in the metadata.
    pub fn id(mut self, id: impl AsRef<[u8]>) -> Self {
        let stated = [b"title = \"A title\"\nid = \"", id.as_ref(), b"\"\n"].concat();
        self.id = Some(id.as_ref().to_vec());
        self.metadata(stated)
    }

    /// Replaces the metadata.
    pub fn metadata(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let place = self.files.iter_mut().find(|(name, _)| name == METADATA).expect("there is metadata");
        place.1 = bytes.as_ref().to_vec();
        self
    }

    /// The path of a file of it, below `data/`.
    pub fn full(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }

    pub fn own_id(&self) -> &[u8] {
        self.id.as_ref().unwrap_or(&self.path)
    }
}

/// A folder about a bundle that a replacement descends from, as it is written.
#[derive(Clone)]
pub struct Old {
    pub folder: String,
    /// The names of its files, and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Old {
    /// The bytes of the file with this name.
    pub fn file(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.files.iter_mut().find(|(other, _)| other == name).expect("the folder has it").1
    }
}

/// A point at which a lie may be told; each names what was made last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `articles` as they were given, and all that can be asked for.
    Input,
    /// `articles` in the one order.
    Order,
    /// `lines`, an article each.
    Lines,
    List,
    Times,
    /// `leaves` of the tree.
    Leaves,
    Root,
    /// `fields` of the manifest.
    Fields,
    /// The text of `manifest`.
    Manifest,
    Pieces,
    /// `members` up to the last piece.
    Members,
    /// The tar of these.
    Body,
    Head,
    Signatures,
    /// `tail`, the members of the last frame.
    Tail,
    TailTar,
    Frames,
    /// `entries` of the table.
    Entries,
    Table,
    File,
}

impl Stage {
    pub const ALL: [Self; 20] = [
        Self::Input,
        Self::Order,
        Self::Lines,
        Self::List,
        Self::Times,
        Self::Leaves,
        Self::Root,
        Self::Fields,
        Self::Manifest,
        Self::Pieces,
        Self::Members,
        Self::Body,
        Self::Head,
        Self::Signatures,
        Self::Tail,
        Self::TailTar,
        Self::Frames,
        Self::Entries,
        Self::Table,
        Self::File,
    ];
}

/// The bundle in the making.
#[derive(Clone)]
pub struct Work {
    /// The top folder.
    pub name: String,
    pub articles: Vec<Article>,
    /// Whether there shall be a file of times.
    pub timed: bool,
    /// Who signs.
    pub signers: Vec<Key>,
    /// More keys for the manifest, with their values as written.
    pub more: Vec<(String, String)>,
    /// Where the tar before the last frame is cut; every MiB without.
    pub cuts: Option<Vec<usize>>,
    /// Level of the compressor.
    pub level: i32,
    /// The bundles that it descends from, the newest first.
    pub line: Vec<Old>,
    /// Lists of other bundles of which parts are put in, and which the trusted key has signed.
    pub also_signed: Vec<Vec<u8>>,
    /// Bytes of the tar that never were in memory.
    pub unseen: usize,

    pub lines: Vec<Vec<Vec<u8>>>,
    pub list: Vec<u8>,
    pub times: Vec<u8>,
    pub leaves: Vec<(Vec<u8>, Vec<u8>)>,
    pub root: [u8; 32],
    pub fields: Vec<(String, String)>,
    pub manifest: Vec<u8>,
    pub pieces: Vec<Vec<u8>>,
    pub members: Vec<Member>,
    pub body: Vec<u8>,
    pub head: Vec<u8>,
    pub signatures: Vec<(String, Vec<u8>)>,
    pub tail: Vec<Member>,
    pub tail_tar: Vec<u8>,
    pub frames: Vec<Frame>,
    pub entries: Vec<(u32, u32)>,
    pub table: Vec<u8>,
    pub file: Vec<u8>,
}

/// The order of the manifest's keys.
const KEYS: [&str; 16] = [
    "format",
    "archive",
    "name",
    "title",
    "articles",
    "files",
    "bytes",
    "checksums",
    "root",
    "times",
    "part",
    "after",
    "last",
    "base",
    "replaces",
    "reinstates",
];

impl Work {
    /// Honest articles that have something of everything.
    pub fn new() -> Self {
        let articles = vec![
            Article::bare("a").file("z.txt", "the last letter\n"),
            Article::bare("a/b").file("b.txt", "bee\n").file("img/1.png", [0x89, b'P', b'N', b'G', 0, 1, 2]),
            Article::new("a-c"),
            Article::bare("d").id("other").file("d.txt", vec![b'd'; 700]).file("empty", ""),
        ];
        Self {
            name: "forged".into(),
            articles,
            timed: false,
            signers: vec![Key::new(TRUSTED)],
            more: Vec::new(),
            cuts: None,
            level: 3,
            line: Vec::new(),
            also_signed: Vec::new(),
            unseen: 0,
            lines: Vec::new(),
            list: Vec::new(),
            times: Vec::new(),
            leaves: Vec::new(),
            root: [0; 32],
            fields: Vec::new(),
            manifest: Vec::new(),
            pieces: Vec::new(),
            members: Vec::new(),
            body: Vec::new(),
            head: Vec::new(),
            signatures: Vec::new(),
            tail: Vec::new(),
            tail_tar: Vec::new(),
            frames: Vec::new(),
            entries: Vec::new(),
            table: Vec::new(),
            file: Vec::new(),
        }
    }

    /// Makes the whole bundle; `lie` is called after each stage.
    pub fn make(self, lie: &dyn Fn(Stage, &mut Self)) -> Forged {
        self.built(lie).finished()
    }

    /// Makes the bundle a replacement of one that held these articles too, which were removed in steps, the first of them first. `lie` is
    /// called while each older bundle is made, with the number of the step.
    pub fn descends(&mut self, steps: &[Vec<Article>], lie: &dyn Fn(usize, Stage, &mut Self)) {
        let own = self.articles.clone();
        for step in 0..steps.len() {
            let mut old = self.clone();
            old.articles.extend(steps[step..].iter().flatten().cloned());
            let old = old.built(&|stage, work| lie(step, stage, work));
            let gone = |path: &[u8]| steps[step].iter().any(|article| article.path == path);
            let mut removed = Vec::new();
            for (number, (article, (id, lines))) in old.articles.iter().zip(&old.leaves).enumerate() {
                if gone(&article.path) {
                    removed.extend(format!("{number} {} {}\n", hex(&sha256(id)), hex(&sha256(lines))).bytes());
                }
            }
            let id = hex(&sha256(&old.manifest));
            let mut files = vec![("manifest.toml".to_owned(), old.manifest)];
            files.extend(old.signatures);
            files.push(("removed".to_owned(), removed));
            self.line.insert(0, Old { folder: id.clone(), files });
            self.more.retain(|(key, _)| key != "replaces");
            self.more.push(("replaces".into(), format!("[\"{id}\"]")));
        }
        self.articles = own;
    }

    fn built(mut self, lie: &dyn Fn(Stage, &mut Self)) -> Self {
        lie(Stage::Input, &mut self);
        for stage in Stage::ALL.into_iter().skip(1) {
            match stage {
                Stage::Input => {}
                Stage::Order => self.put_in_order(),
                Stage::Lines => self.make_lines(),
                Stage::List => self.list = self.lines.iter().flatten().flatten().copied().collect(),
                Stage::Times => self.make_times(),
                Stage::Leaves => self.make_leaves(),
                Stage::Root => self.root = tree(&self.leaf_hashes()),
                Stage::Fields => self.make_fields(),
                Stage::Manifest => {
                    self.manifest =
                        self.fields.iter().flat_map(|(key, value)| format!("{key} = {value}\n").into_bytes()).collect();
                }
                Stage::Pieces => self.make_pieces(),
                Stage::Members => self.make_members(),
                Stage::Body => self.members.iter().for_each(|member| member.encode(&mut self.body)),
                Stage::Head => self.make_head(),
                Stage::Signatures => self.make_signatures(),
                Stage::Tail => self.make_tail(),
                Stage::TailTar => {
                    self.tail.iter().for_each(|member| member.encode(&mut self.tail_tar));
                    self.tail_tar.extend([0; 1024]);
                }
                Stage::Frames => self.make_frames(),
                Stage::Entries => {
                    let entry = |frame: &Frame| (frame.packed.len() as u32, frame.plain.len() as u32);
                    self.entries = self.frames.iter().map(entry).collect();
                }
                Stage::Table => self.table = table(&self.entries),
                Stage::File => {
                    self.file =
                        self.frames.iter().flat_map(|frame| &frame.packed).chain(&self.table).copied().collect();
                }
            }
            lie(stage, &mut self);
        }
        self
    }

    pub fn honest(self) -> Forged {
        self.make(&|_, _| ())
    }

    fn put_in_order(&mut self) {
        let key = |article: &Article| [&article.path[..], if article.path.is_empty() { b"" } else { b"/" }].concat();
        self.articles.sort_by_key(key);
        for article in &mut self.articles {
            article.files.sort();
        }
    }

    fn make_lines(&mut self) {
        let line = |article: &Article, (name, bytes): &(Vec<u8>, Vec<u8>)| {
            [hex(&sha256(bytes)).as_bytes(), b"  data/", &article.full(name), b"\n"].concat()
        };
        let of = |article: &Article| article.files.iter().map(|file| line(article, file)).collect();
        self.lines = self.articles.iter().map(of).collect();
    }

    fn make_times(&mut self) {
        if !self.timed {
            return;
        }
        for (number, article) in self.articles.iter().enumerate() {
            for (name, bytes) in &article.files {
                if !(name == METADATA && bytes.starts_with(b"# generated by vellum derive/1\n")) {
                    let time = format!("2026-03-01T09:12:{:02}.120000000Z  data/", number % 60);
                    self.times.extend([time.as_bytes(), &article.full(name), b"\n"].concat());
                }
            }
        }
    }

    fn make_leaves(&mut self) {
        let leaf = |(article, lines): (&Article, &Vec<Vec<u8>>)| (article.own_id().to_vec(), lines.concat());
        self.leaves = self.articles.iter().zip(&self.lines).map(leaf).collect();
    }

    fn leaf_hashes(&self) -> Vec<[u8; 32]> {
        let leaf = |(id, lines): &(Vec<u8>, Vec<u8>)| sha256(&[&[0][..], &sha256(id), &sha256(lines)].concat());
        self.leaves.iter().map(leaf).collect()
    }

    fn make_fields(&mut self) {
        let files = self.articles.iter().flat_map(|article| &article.files);
        let bytes: usize = files.clone().map(|(_, bytes)| bytes.len()).sum();
        let digest = |digest: [u8; 32]| format!("\"sha256:{}\"", hex(&digest));
        self.put("format", "\"vellum-manifest/1\"");
        self.put("name", &format!("\"{}\"", self.name));
        self.put("title", "\"Forged\"");
        self.put("articles", &self.articles.len().to_string());
        let lines = self.lines.iter().map(Vec::len).sum::<usize>();
        self.put("files", &lines.to_string());
        self.put("bytes", &bytes.to_string());
        self.put("checksums", &digest(sha256(&self.list)));
        self.put("root", &digest(self.root));
        if self.timed {
            self.put("times", &digest(sha256(&self.times)));
        }
        for (key, value) in self.more.clone() {
            self.put(&key, &value);
        }
    }

    /// Sets a key of the manifest, at its place.
    pub fn put(&mut self, key: &str, value: &str) {
        self.fields.retain(|(other, _)| other != key);
        let rank = |key: &str| KEYS.iter().position(|&known| known == key).unwrap_or(KEYS.len());
        let at = self.fields.iter().position(|(other, _)| rank(other) > rank(key)).unwrap_or(self.fields.len());
        self.fields.insert(at, (key.to_owned(), value.to_owned()));
    }

    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == key).map(|(_, value)| value.trim_matches('"'))
    }

    fn make_pieces(&mut self) {
        let line = |article: &Article| {
            let sizes: Vec<_> = article.files.iter().map(|(_, bytes)| bytes.len().to_string()).collect();
            let mut line = sizes.join(" ").into_bytes();
            if article.own_id() != article.path {
                line.push(b'\t');
                line.extend(article.own_id());
            }
            line.push(b'\n');
            line
        };
        self.pieces =
            self.articles.chunks(ARTICLES_A_BLOCK).map(|block| block.iter().flat_map(line).collect()).collect();
    }

    /// The path of a member in the top folder.
    pub fn below(&self, path: impl AsRef<[u8]>) -> Vec<u8> {
        [self.name.as_bytes(), b"/", path.as_ref()].concat()
    }

    fn make_members(&mut self) {
        let mut members = Vec::new();
        for metadata in [false, true] {
            for article in &self.articles {
                for (name, bytes) in article.files.iter().filter(|(name, _)| (name == METADATA) == metadata) {
                    let path = [b"data/", &article.full(name)[..]].concat();
                    members.push(Member::new(self.below(path), bytes.clone()));
                }
            }
        }
        members.push(Member::new(self.below("manifest-sha256.txt"), self.list.clone()));
        if self.timed {
            members.push(Member::new(self.below("times.txt"), self.times.clone()));
        }
        for (number, piece) in self.pieces.iter().enumerate() {
            members.push(Member::new(self.below(format!("index/{number}")), piece.clone()));
        }
        self.members = members;
    }

    /// Where the headers of the members begin, by path; the first of those with one path.
    fn offsets(&self) -> std::collections::HashMap<&[u8], usize> {
        let mut offsets = std::collections::HashMap::new();
        let mut at = 0;
        for member in &self.members {
            offsets.entry(&member.path[..]).or_insert(at);
            at += member.encoded_len();
        }
        offsets
    }

    fn make_head(&mut self) {
        let offsets = self.offsets();
        let of = |path: Vec<u8>| offsets.get(&self.below(path)[..]).copied().unwrap_or(0);
        let mut head = b"vellum-index/1\n".to_vec();
        head.extend(format!("list {} {}\n", of(b"manifest-sha256.txt".to_vec()), self.list.len()).bytes());
        let hashes = self.leaf_hashes();
        let mut line_at = 0;
        for (number, block) in self.articles.chunks(ARTICLES_A_BLOCK).enumerate() {
            let first = |metadata: bool| {
                let files = block.iter().flat_map(|article| article.files.iter().map(move |(name, _)| (article, name)));
                let mut of_kind = files.filter(|(_, name)| (*name == METADATA) == metadata);
                of_kind.next().map_or(0, |(article, name)| of([b"data/", &article.full(name)[..]].concat()))
            };
            let start = number * ARTICLES_A_BLOCK;
            let of_block = start.min(hashes.len())..(start + block.len()).min(hashes.len());
            let hash = if of_block.is_empty() { [0; 32] } else { tree(&hashes[of_block]) };
            let piece = of(format!("index/{number}").into_bytes());
            head.extend(format!("block {line_at} {} {} {piece} {} ", first(false), first(true), hex(&hash)).bytes());
            head.extend(&block[0].path);
            head.push(b'\n');
            let other: Vec<_> = block.iter().filter(|article| article.own_id() != article.path).collect();
            if !other.is_empty() {
                let digits: String = other.iter().map(|article| hex(&sha256(article.own_id())[..2])).collect();
                head.extend(format!("ids {digits}\n").bytes());
            }
            let lines = &self.lines[start.min(self.lines.len())..(start + block.len()).min(self.lines.len())];
            line_at += lines.iter().flatten().map(Vec::len).sum::<usize>();
        }
        self.head = head;
    }

    /// The trusted comment that fits the manifest.
    pub fn comment(&self) -> String {
        comment(&self.manifest, self.field("archive"))
    }

    fn make_signatures(&mut self) {
        let comment = self.comment();
        let file = |key: &Key| {
            let text = Minisig::of(key, &self.manifest, comment.clone()).text();
            (format!("manifest.toml.{}.minisig", key.printed()), text)
        };
        self.signatures = self.signers.iter().map(file).collect();
        self.signatures.sort();
    }

    fn make_tail(&mut self) {
        let bagit = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_vec();
        let (bytes, files) = (self.field("bytes").unwrap_or("0"), self.field("files").unwrap_or("0"));
        let info = format!("Payload-Oxum: {bytes}.{files}\n").into_bytes();
        let mut tags = String::new();
        let mut tag = |bytes: &[u8], name: &str| tags.push_str(&format!("{}  {name}\n", hex(&sha256(bytes))));
        tag(&info, "bag-info.txt");
        tag(&bagit, "bagit.txt");
        tag(&self.list, "manifest-sha256.txt");
        tag(&self.manifest, "manifest.toml");
        if self.timed {
            tag(&self.times, "times.txt");
        }
        let mut tail = vec![
            Member::new(self.below("bagit.txt"), bagit),
            Member::new(self.below("bag-info.txt"), info),
            Member::new(self.below("manifest.toml"), self.manifest.clone()),
            Member::new(self.below("tagmanifest-sha256.txt"), tags),
        ];
        for (name, text) in &self.signatures {
            tail.push(Member::new(self.below(name), text.clone()));
        }
        for (old, (name, bytes)) in self.line.iter().flat_map(|old| old.files.iter().map(move |file| (old, file))) {
            tail.push(Member::new(self.below(format!("was/{}/{name}", old.folder)), bytes.clone()));
        }
        tail.push(Member::new(self.below("index/head"), self.head.clone()));
        self.tail = tail;
    }

    fn make_frames(&mut self) {
        let cuts =
            self.cuts.clone().unwrap_or_else(|| (1..).map(|n| n << 20).take_while(|&n| n < self.body.len()).collect());
        let mut start = 0;
        // A lie may have left less of the tar than the cuts speak of.
        for end in cuts.into_iter().chain([self.body.len()]).map(|end| end.min(self.body.len())) {
            if start < end {
                let plain = &self.body[start..end];
                self.frames.push(Frame { packed: super::zframe::compress(plain, self.level), plain: plain.to_vec() });
                start = end;
            }
        }
        self.frames
            .push(Frame { packed: super::zframe::compress(&self.tail_tar, self.level), plain: self.tail_tar.clone() });
    }

    fn finished(self) -> Forged {
        let trusted = Key::new(TRUSTED);
        let listed = String::from_utf8_lossy(&self.manifest).contains(&format!("sha256:{}", hex(&sha256(&self.list))));
        let signed = self.signatures.iter().any(|(_, text)| signs(&trusted, &self.manifest, text));
        Forged {
            plain: self.unseen + self.frames.iter().map(|frame| frame.plain.len()).sum::<usize>(),
            id: hex(&sha256(&self.manifest)),
            lists: self.also_signed.into_iter().chain((listed && signed).then_some(self.list)).collect(),
            articles: self.articles,
            file: self.file,
        }
    }
}

/// Whether a signature file holds a signature of the manifest by the key, whatever else is wrong with it.
fn signs(key: &Key, manifest: &[u8], text: &[u8]) -> bool {
    use base64ct::{Base64, Encoding};
    String::from_utf8_lossy(text).lines().any(|line| {
        let Ok(blob) = Base64::decode_vec(line.trim()) else { return false };
        blob.len() == 74 && key.fits(manifest, blob[10..].try_into().expect("64 bytes are left"))
    })
}

/// The hash of a tree by RFC 6962 over hashes of leaves.
pub fn tree(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            sha256(&[&[1][..], &tree(&leaves[..middle]), &tree(&leaves[middle..])].concat())
        }
    }
}

/// A finished bundle, and what may come out of it.
#[derive(Clone)]
pub struct Forged {
    pub file: Vec<u8>,
    /// SHA-256 of the manifest.
    pub id: String,
    /// The checksum lists that a trusted signature covers.
    pub lists: Vec<Vec<u8>>,
    pub articles: Vec<Article>,
    /// Length of the tar.
    pub plain: usize,
}
