//! A bundle rebuilt by an attacker: everything outside the signature may be forged, nothing forged may pass. One test a row of the
//! attack table that applies to a bundle.

use std::num::NonZeroUsize;

use vellum::digest::Digest;
use vellum::finding::{Code, Severity};
use vellum::format::bundle::{Bundle, Contents, Report, SignatureFile, Tail, check};
use vellum::format::frame::{self, FrameEncoder};
use vellum::format::index::Index;
use vellum::format::manifest::Manifest;
use vellum::format::seekable::{self, FrameSize};
use vellum::format::tar;
use vellum::keys::{Comment, Kind, SecretKey, Signature, Signer};
use vellum::trust::{TrustedKey, judge};
use vellum::watch::Silent;

use crate::scene::{Scene, key, options, packed, trusted};

/// A bundle taken apart, so that an attacker can put it together otherwise.
#[derive(Clone)]
struct Parts {
    /// Full path and content of every member before the tail.
    members: Vec<(String, Vec<u8>)>,
    /// Bytes of the tar that stand in place of the members' own, if set.
    tar: Option<Vec<u8>>,
    tail: Tail,
    index: Option<Vec<u8>>,
}

fn parts() -> Parts {
    let scene = Scene::new();
    let packed = packed(&scene.articles(), &scene.path("out"), &options(), &key(7));
    let bundle = Bundle::open(std::fs::read(&packed.bundles[0].file).unwrap()).unwrap();
    let contents: Contents = bundle.contents().unwrap();
    let mut members: Vec<(String, Vec<u8>)> = contents
        .list
        .tar_order()
        .map(|line| {
            let mut bytes = Vec::new();
            bundle.read_file(&contents, line, &mut bytes).unwrap();
            (format!("test/{}", contents.list.path(line)), bytes)
        })
        .collect();
    members.push(("test/manifest-sha256.txt".into(), contents.list.text().as_bytes().to_vec()));
    Parts { members, tar: None, tail: bundle.tail().clone(), index: None }
}

fn member(path: &str, bytes: &[u8], out: &mut Vec<u8>) {
    tar::encode_header(path, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
    out.resize(out.len() + tar::padding(bytes.len() as u64) as usize, 0);
}

impl Parts {
    fn tar(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (path, bytes) in &self.members {
            member(path, bytes, &mut out);
        }
        out
    }

    /// Puts the bundle together with an index, marks and a table that fit what is there.
    fn forge(&self) -> Vec<u8> {
        let plain = self.tar.clone().unwrap_or_else(|| self.tar());
        let mut packed = Vec::new();
        FrameEncoder::new(3).encode(&plain, &mut packed).unwrap();
        self.forge_frames(&[(packed, plain.len())])
    }

    fn forge_frames(&self, frames: &[(Vec<u8>, usize)]) -> Vec<u8> {
        let (list_path, list) = self.members.last().unwrap();
        let before: usize = self.members[..self.members.len() - 1]
            .iter()
            .map(|(path, bytes)| {
                let mut out = Vec::new();
                member(path, bytes, &mut out);
                out.len()
            })
            .sum();
        assert!(list_path.ends_with("manifest-sha256.txt"));
        let mut sizes: Vec<(&str, u64)> = self.members[..self.members.len() - 1]
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.len() as u64))
            .collect();
        sizes.sort();
        let index = Index {
            list_offset: before as u64,
            list_size: list.len() as u64,
            frames: frames.iter().map(|(packed, _)| frame::mark(packed)).collect(),
            sizes: sizes.iter().map(|(_, size)| *size).collect(),
        };
        let tail =
            Tail { index: self.index.clone().unwrap_or_else(|| index.encode().into_bytes()), ..self.tail.clone() };
        let plain = tail.encode();
        let mut all = frames.to_vec();
        all.push((frame::store(&plain), plain.len()));
        let table: Vec<FrameSize> =
            all.iter().map(|(packed, plain)| FrameSize { packed: packed.len() as u32, plain: *plain as u32 }).collect();
        let mut out: Vec<u8> = all.into_iter().flat_map(|(packed, _)| packed).collect();
        out.extend_from_slice(&seekable::encode(&table));
        out
    }

    fn resign(&mut self, signer: &SecretKey) {
        let digest = Digest::of(&self.tail.manifest);
        self.sign_saying(signer, &Comment::new(Kind::Manifest, None, digest, jiff::Timestamp::UNIX_EPOCH).unwrap());
    }

    fn sign_saying(&mut self, signer: &SecretKey, comment: &Comment) {
        let signature = Signature::sign(signer, &self.tail.manifest, comment).unwrap();
        let key_id = signer.public().id().to_string();
        self.tail.signatures = vec![SignatureFile { key_id, bytes: signature.to_string().into_bytes() }];
    }
}

/// Returns the codes of all damage that a reader who trusts the key finds.
fn found_by(bytes: &Vec<u8>, keys: &[TrustedKey]) -> Vec<Code> {
    let report: Report = check(bytes, NonZeroUsize::MIN, &Silent).unwrap();
    let mut findings = report.findings;
    if let (Some(tail), Some(manifest)) = (&report.tail, &report.manifest) {
        findings.extend(judge(tail, manifest, keys, None).findings);
    }
    findings.iter().filter(|f| f.severity() == Severity::Damage).map(|f| f.code).collect()
}

fn codes(bytes: &Vec<u8>) -> Vec<Code> {
    found_by(bytes, &trusted(&key(7)))
}

#[test]
fn a_bundle_put_together_honestly_passes() {
    assert_eq!(codes(&parts().forge()), []);
}

#[test]
fn tampered_content_is_found() {
    let mut parts = parts();
    parts.members[0].1[0] ^= 1;
    assert_eq!(codes(&parts.forge()), [Code::Content]);
}

#[test]
fn tampered_content_with_a_list_to_fit_is_found() {
    let mut parts = parts();
    let old = Digest::of(&parts.members[0].1).to_string();
    parts.members[0].1[0] ^= 1;
    let new = Digest::of(&parts.members[0].1).to_string();
    let list = parts.members.last_mut().unwrap();
    list.1 = String::from_utf8(list.1.clone()).unwrap().replace(&old, &new).into_bytes();
    assert!(codes(&parts.forge()).contains(&Code::Checksums));
}

#[test]
fn everything_forged_to_fit_but_the_signature_is_found() {
    let mut parts = parts();
    let text = String::from_utf8(parts.tail.manifest.clone()).unwrap().replace("Test", "Best");
    parts.tail = Tail::new(&Manifest::decode(text.as_bytes()).unwrap(), parts.tail.signatures);
    assert_eq!(codes(&parts.forge()), [Code::SignatureBad, Code::Untrusted]);
}

#[test]
fn a_signature_by_another_key_does_not_count() {
    let mut parts = parts();
    parts.resign(&key(8));
    assert_eq!(codes(&parts.forge()), [Code::Untrusted]);
    parts.tail.signatures[0].key_id = key(7).public().id().to_string();
    assert_eq!(codes(&parts.forge()), [Code::SignatureForm, Code::Untrusted]);
    parts.tail.signatures.clear();
    assert_eq!(codes(&parts.forge()), [Code::Unsigned]);
}

#[test]
fn a_signature_of_another_bundle_or_for_another_archive_does_not_count() {
    let mut parts = parts();
    let other = Comment::new(Kind::Manifest, None, Digest::of(b"other"), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let signature = Signature::sign(&key(7), b"other", &other).unwrap();
    parts.tail.signatures[0].bytes = signature.to_string().into_bytes();
    assert_eq!(codes(&parts.forge()), [Code::SignatureBad, Code::Untrusted]);
    let digest = Digest::of(&parts.tail.manifest);
    let policy = Comment::new(Kind::Policy, None, digest, jiff::Timestamp::UNIX_EPOCH).unwrap();
    parts.sign_saying(&key(7), &policy);
    assert_eq!(codes(&parts.forge()), [Code::SignatureComment, Code::Untrusted]);
    let archive = "example.org/other".parse().unwrap();
    let manifest = Manifest::decode(&parts.tail.manifest).unwrap();
    parts.resign(&key(7));
    assert!(!judge(&parts.tail, &manifest, &trusted(&key(7)), Some(&archive)).authentic());
    let named = Manifest { archive: Some("example.org/library".parse().unwrap()), ..manifest };
    let judged = judge(&parts.tail, &named, &trusted(&key(7)), Some(&archive));
    assert!(judged.findings.iter().any(|finding| finding.code == Code::Archive));
}

#[test]
fn extra_missing_and_duplicate_members_are_found() {
    let good = parts();
    let mut extra = good.clone();
    extra.members.insert(1, ("test/data/extra/extra.txt".into(), b"x".to_vec()));
    assert!(codes(&extra.forge()).contains(&Code::Extra), "{:?}", codes(&extra.forge()));
    let mut missing = good.clone();
    missing.members.remove(0);
    assert!(codes(&missing.forge()).contains(&Code::Missing));
    let mut twice = good.clone();
    twice.members.insert(1, good.members[0].clone());
    assert!(codes(&twice.forge()).contains(&Code::Tar));
    let mut swapped = good.clone();
    swapped.members.swap(0, 1);
    assert!(codes(&swapped.forge()).contains(&Code::Tar), "{:?}", codes(&swapped.forge()));
}

#[test]
fn a_renamed_top_folder_is_found() {
    let mut parts = parts();
    for (path, _) in &mut parts.members {
        *path = path.replacen("test/", "best/", 1);
    }
    assert!(codes(&parts.forge()).contains(&Code::TopFolder));
    parts.tail.top = "best".into();
    assert!(codes(&parts.forge()).contains(&Code::TopFolder));
}

#[test]
fn links_devices_and_headers_outside_the_canonical_form_are_found() {
    let good = parts();
    let tar = good.tar();
    for (at, byte) in [(156, b'2'), (156, b'5'), (156, b'3'), (100, b'7'), (140, b'1'), (265, b'r'), (500, b'x')] {
        let mut bad = tar.clone();
        bad[at] = byte;
        bad[148..156].copy_from_slice(b"        ");
        let sum: u64 = bad[..512].iter().map(|&b| u64::from(b)).sum();
        bad[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let parts = Parts { tar: Some(bad), ..good.clone() };
        assert!(codes(&parts.forge()).contains(&Code::Tar), "{at}: {:?}", codes(&parts.forge()));
    }
}

#[test]
fn bytes_hidden_in_the_padding_or_after_the_end_are_found() {
    let good = parts();
    let mut hidden = good.tar();
    let first = good.members.iter().position(|(_, bytes)| !bytes.is_empty()).unwrap();
    assert_eq!(first, 0);
    hidden[512 + good.members[0].1.len()] = b'x';
    assert_eq!(codes(&Parts { tar: Some(hidden), ..good.clone() }.forge()), [Code::Tar]);
    let mut after = good.tar();
    after.extend_from_slice(&[0; 512]);
    assert!(!codes(&Parts { tar: Some(after), ..good }.forge()).is_empty());
}

#[test]
fn traversal_is_found_and_never_extracted() {
    for bad in ["data/../../evil.txt", "/etc/evil", "data/a\\b", "data//x", "data/a/./b"] {
        let mut parts = parts();
        parts.members[0].0 = format!("test/{bad}");
        let found = codes(&parts.forge());
        assert!(found.contains(&Code::Extra) || found.contains(&Code::Tar), "{bad}: {found:?}");
    }
    // Even a publisher whose key is trusted cannot sign a way out.
    let mut parts = parts();
    let (path, content) = parts.members[0].clone();
    let list = String::from_utf8(parts.members.last().unwrap().1.clone()).unwrap();
    let evil = list.replacen(&path["test/".len()..], "data/../evil.txt", 1);
    let mut lines: Vec<&str> = evil.lines().collect();
    lines.sort_by_key(|line| &line[66..]);
    let evil = lines.join("\n") + "\n";
    parts.members.last_mut().unwrap().1 = evil.clone().into_bytes();
    parts.members[0] = ("test/data/../evil.txt".into(), content);
    let manifest =
        Manifest { checksums: Digest::of(evil.as_bytes()), ..Manifest::decode(&parts.tail.manifest).unwrap() };
    parts.tail = Tail::new(&manifest, Vec::new());
    parts.resign(&key(7));
    let bytes = parts.forge();
    assert!(codes(&bytes).contains(&Code::Path), "{:?}", codes(&bytes));
    let scene = Scene::with_key();
    let bundle = scene.write("evil.tar.zst", bytes);
    let said = scene.run(&["extract", "--unsigned", "--to", "out/deep", &bundle.display().to_string()]);
    assert_ne!(said.code, 0, "{}", said.stdout);
    assert!(!scene.path("out/evil.txt").exists() && !scene.path("evil.txt").exists());
}

#[test]
fn a_forged_table_and_a_forged_index_are_found() {
    let good = parts().forge();
    let frames = seekable::decode(&good[good.len() - 33..]).unwrap();
    assert_eq!(frames.len(), 2);
    for (packed, plain) in [(1, 0), (0, 512), (u32::MAX, 0), (0, u32::MAX)] {
        let mut forged = frames.clone();
        forged[0].packed = forged[0].packed.wrapping_add(packed);
        forged[1].packed = forged[1].packed.wrapping_sub(packed);
        forged[0].plain = forged[0].plain.wrapping_add(plain);
        let bad = [&good[..good.len() - 33], &seekable::encode(&forged)].concat();
        let found = codes(&bad);
        assert!(found.contains(&Code::Table) || found.contains(&Code::OverLimit), "{packed} {plain}: {found:?}");
    }
    for index in [
        "",
        "vellum-index/1\n",
        "vellum-index/1\nlist 0 0\n",
        "vellum-index/1\nlist 18446744073709551615 18446744073709551615\n",
    ] {
        let bad = Parts { index: Some(index.into()), ..parts() }.forge();
        assert!(codes(&bad).contains(&Code::Index), "{index:?}: {:?}", codes(&bad));
    }
    let text = String::from_utf8(Bundle::open(good).unwrap().tail().index.clone()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(3, 4);
    let swapped = lines.join("\n") + "\n";
    assert_ne!(swapped, text);
    assert!(codes(&Parts { index: Some(swapped.into_bytes()), ..parts() }.forge()).contains(&Code::Index));
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    let plain = vec![0; 64 << 20];
    let bomb = zstd::bulk::compress(&plain, 3).unwrap();
    let forged = parts().forge_frames(&[(bomb, plain.len())]);
    assert!(codes(&forged).contains(&Code::OverLimit));
    // A table that hides the size changes nothing: the frame's own header speaks.
    let bomb = zstd::bulk::compress(&plain, 3).unwrap();
    let forged = parts().forge_frames(&[(bomb, 1000)]);
    assert!(codes(&forged).contains(&Code::Frame));
}

#[test]
fn skippable_frames_and_empty_frames_are_found() {
    let good = parts();
    let tar = good.tar();
    let mut packed = Vec::new();
    FrameEncoder::new(3).encode(&tar, &mut packed).unwrap();
    let mut empty = Vec::new();
    FrameEncoder::new(3).encode(b"", &mut empty).unwrap();
    assert!(!codes(&good.forge_frames(&[(packed.clone(), tar.len()), (empty, 0)])).is_empty());
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"evil"].concat();
    assert!(!codes(&good.forge_frames(&[(packed.clone(), tar.len()), (skippable.clone(), 1)])).is_empty());
    let joined = [packed, skippable].concat();
    assert!(codes(&good.forge_frames(&[(joined, tar.len())])).contains(&Code::Frame));
}

#[test]
fn weak_and_non_canonical_keys_are_never_trusted() {
    use vellum::keys::{KeyId, PublicKey};
    let id = KeyId::from_bytes([1; 8]);
    let identity = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    let non_canonical = [0xff; 32];
    for bytes in [[0; 32], identity, non_canonical] {
        assert!(PublicKey::from_bytes(id, bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn counts_that_the_content_does_not_have_are_found_although_signed() {
    let good = parts();
    let honest = Manifest::decode(&good.tail.manifest).unwrap();
    for lie in [
        Manifest { files: honest.files + 1, ..honest.clone() },
        Manifest { articles: honest.articles - 1, ..honest.clone() },
        Manifest { bytes: honest.bytes + 1, ..honest.clone() },
    ] {
        let mut parts = good.clone();
        parts.tail = Tail::new(&lie, Vec::new());
        parts.resign(&key(7));
        let found = codes(&parts.forge());
        assert!(found.contains(&Code::Manifest) || found.contains(&Code::Checksums), "{lie}: {found:?}");
    }
}

#[test]
fn a_tag_file_with_something_else_in_it_is_found() {
    for change in [
        |t: &mut Tail| t.bagit.push(b'x'),
        |t: &mut Tail| t.bag_info.clear(),
        |t: &mut Tail| t.tag_manifest.truncate(9),
    ] {
        let mut parts = parts();
        change(&mut parts.tail);
        assert_eq!(codes(&parts.forge()), [Code::TagFile]);
    }
}
