//! Signatures: their files, their comments, their number, and names of files that claim an id.

use super::super::forge::{Stage, TRUSTED, Work, hex, sha256};
use super::super::sign::{Key, Minisig, printed};
use super::{Expect, Table, replace_once};

const FORM: &[&str] = &["signature-form"];
const BAD: &[&str] = &["signature-bad"];
const COMMENT: &[&str] = &["signature-comment"];
/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn trusted() -> Key {
    Key::new(TRUSTED)
}

/// The honest signature, to be changed.
fn good(w: &Work) -> Minisig {
    Minisig::of(&trusted(), &w.manifest, w.comment())
}

/// Replaces the one signature by a changed one.
fn changed(change: impl Fn(&mut Minisig)) -> impl Fn(&mut Work) {
    move |w| {
        let mut signature = good(w);
        change(&mut signature);
        w.signatures[0].1 = signature.text();
    }
}

/// Changes the text of the one signature.
fn text(change: impl Fn(&mut Vec<u8>)) -> impl Fn(&mut Work) {
    move |w| change(&mut w.signatures[0].1)
}

fn name_of(key: &Key) -> String {
    format!("manifest.toml.{}.minisig", key.printed())
}

pub(super) fn tell(t: &mut Table) {
    bad(t);
    form(t);
    comments(t);
    many(t);
    file_names(t);
}

fn bad(t: &mut Table) {
    t.no("unsigned", &["unsigned"], Stage::Signatures, |w| w.signatures.clear());
    t.no("signed-by-another", &["untrusted"], Stage::Input, |w| w.signers = vec![Key::new(9)]);
    t.no("signed-by-another-with-the-trusted-id", BAD, Stage::Input, |w| {
        let mut other = Key::new(9);
        other.id = trusted().id;
        w.signers = vec![other];
    });
    t.no("signature-bit-of-r", BAD, Stage::Signatures, changed(|s| s.signature[0] ^= 1));
    t.no("signature-bit-of-s", BAD, Stage::Signatures, changed(|s| s.signature[32] ^= 1));
    t.no("signature-zero", BAD, Stage::Signatures, changed(|s| s.signature = [0; 64]));
    t.no(
        "signature-r-identity",
        BAD,
        Stage::Signatures,
        changed(|s| {
            s.signature[..32].fill(0);
            s.signature[0] = 1;
        }),
    );
    t.no("signature-s-beyond-the-order", BAD, Stage::Signatures, |w| {
        let mut signature = good(w);
        let mut carry = 0;
        for (byte, order) in signature.signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        // The global signature is made of the changed one, so that it fits.
        signature.global = trusted().sign(&[&signature.signature[..], &signature.comment].concat());
        w.signatures[0].1 = signature.text();
    });
    t.no("signature-of-another-manifest", BAD, Stage::Signatures, |w| {
        let other = [&w.manifest[..], b"\n"].concat();
        w.signatures[0].1 = Minisig::of(&trusted(), &other, w.comment()).text();
    });
    t.no("signature-not-prehashed-but-says-so", BAD, Stage::Signatures, |w| {
        let mut signature = good(w);
        signature.signature = trusted().sign(&w.manifest);
        signature.global = trusted().sign(&[&signature.signature[..], &signature.comment].concat());
        w.signatures[0].1 = signature.text();
    });
    let global: &[&str] = &["signature-bad", "signature-comment"];
    t.no("global-signature-bit", global, Stage::Signatures, changed(|s| s.global[5] ^= 1));
    t.no("global-signature-zero", global, Stage::Signatures, changed(|s| s.global = [0; 64]));
    t.no(
        "global-signature-of-comment-alone",
        global,
        Stage::Signatures,
        changed(|s| s.global = trusted().sign(&s.comment)),
    );
    t.no(
        "global-signature-by-another",
        global,
        Stage::Signatures,
        changed(|s| {
            s.global = Key::new(9).sign(&[&s.signature[..], &s.comment].concat());
        }),
    );
    t.no(
        "comment-changed-after-signing",
        global,
        Stage::Signatures,
        text(|text| replace_once(text, "03:37:27Z", "03:37:28Z")),
    );
}

fn form(t: &mut Table) {
    t.no("signature-legacy", FORM, Stage::Signatures, |w| {
        let mut signature = good(w);
        signature.algorithm = *b"Ed";
        signature.signature = trusted().sign(&w.manifest);
        signature.global = trusted().sign(&[&signature.signature[..], &signature.comment].concat());
        w.signatures[0].1 = signature.text();
    });
    t.no("signature-of-no-algorithm", FORM, Stage::Signatures, changed(|s| s.algorithm = *b"XX"));
    t.no("signature-of-small-letters", FORM, Stage::Signatures, changed(|s| s.algorithm = *b"ed"));
    t.no("signature-key-id-off", FORM, Stage::Signatures, changed(|s| s.id[3] ^= 1));
    for (name, from, to) in [
        ("crlf", "\ntrusted comment: ", "\r\ntrusted comment: "),
        ("prefix-of-untrusted", "untrusted comment: ", "untrusted comment:"),
        ("prefix-of-trusted", "\ntrusted comment: ", "\ntrusted comment:"),
        ("blank-line", "\ntrusted comment: ", "\n\ntrusted comment: "),
        ("without-untrusted", "untrusted comment: vellum manifest\n", ""),
    ] {
        t.no(format!("signature-text-{name}"), FORM, Stage::Signatures, text(move |text| replace_once(text, from, to)));
    }
    t.no("signature-untrusted-comment-carriage-return", FORM, Stage::Signatures, changed(|s| s.untrusted.push(b'\r')));
    t.no("signature-text-empty", FORM, Stage::Signatures, text(Vec::clear));
    t.no("signature-text-line-more", FORM, Stage::Signatures, text(|text| text.extend(b"more\n")));
    t.no("signature-text-line-feed-more", FORM, Stage::Signatures, text(|text| text.push(b'\n')));
    t.no(
        "signature-text-without-last-line-feed",
        FORM,
        Stage::Signatures,
        text(|text| {
            text.pop();
        }),
    );
    t.no("signature-text-twice", FORM, Stage::Signatures, text(|text| *text = text.repeat(2)));
    t.no(
        "signature-text-byte-order-mark",
        FORM,
        Stage::Signatures,
        text(|text| {
            text.splice(..0, *b"\xef\xbb\xbf");
        }),
    );
    t.no("signature-text-without-last-line", FORM, Stage::Signatures, text(|text| text.truncate(text.len() - 89)));
    // Of the 100 digits the last is the padding, the one before holds two bits that must be zero.
    t.no("signature-base64-loose-bits", FORM, Stage::Signatures, |w| {
        let blob = good(w).blob();
        assert!(blob.ends_with('='));
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let at = blob.len() - 2;
        let value = digits.iter().position(|&digit| digit == blob.as_bytes()[at]).expect("a digit");
        let mut loose = blob.clone().into_bytes();
        loose[at] = digits[value + 1];
        replace_once(&mut w.signatures[0].1, &blob, loose);
    });
    t.no("signature-base64-without-padding", FORM, Stage::Signatures, |w| {
        let blob = good(w).blob();
        replace_once(&mut w.signatures[0].1, &blob, blob.trim_end_matches('='));
    });
    t.no("signature-base64-of-urls", FORM, Stage::Signatures, |w| {
        let blob = good(w).blob();
        let urls = format!("{}-{}", &blob[..20], &blob[21..]);
        replace_once(&mut w.signatures[0].1, &blob, urls);
    });
    t.no("signature-base64-space", FORM, Stage::Signatures, |w| {
        let blob = good(w).blob();
        replace_once(&mut w.signatures[0].1, &blob, format!("{blob} "));
    });
    t.no("signature-short", FORM, Stage::Signatures, |w| {
        let blob = good(w).blob();
        replace_once(&mut w.signatures[0].1, &blob, &blob[..96]);
    });
    for (len, expect) in [(1_022, Expect::Yes), (1_023, Expect::No(&["signature-form"]))] {
        t.add(format!("signature-first-line-of-{len}"), expect, Stage::Signatures, move |w| {
            let mut signature = good(w);
            signature.untrusted = vec![b'u'; len - "untrusted comment: ".len()];
            w.signatures[0].1 = signature.text();
        });
    }
    for (name, len, expect) in [
        ("9404", 9404_usize, Expect::No(&["signature-form"])),
        ("9405", 9405, Expect::No(&["signature-form", "over-limit"])),
        ("100000", 100_000, Expect::No(&["signature-form", "over-limit"])),
        ("5000000", 5_000_000, Expect::No(&["signature-form", "over-limit", "frame"])),
    ] {
        t.add(format!("signature-of-{name}"), expect, Stage::Signatures, move |w| {
            let mut signature = good(w);
            let room = len - signature.text().len();
            signature.untrusted.resize(signature.untrusted.len() + room, b'u');
            w.signatures[0].1 = signature.text();
        });
    }
    t.yes("signature-untrusted-comment-empty", Stage::Signatures, changed(|s| s.untrusted.clear()));
    t.yes(
        "signature-untrusted-comment-other",
        Stage::Signatures,
        changed(|s| s.untrusted = b"signature from minisign secret key".to_vec()),
    );
    t.no("signature-untrusted-comment-escape", FORM, Stage::Signatures, changed(|s| s.untrusted = b"\x1b[2J".to_vec()));
    t.yes("signature-untrusted-comment-bidi", Stage::Signatures, changed(|s| s.untrusted = "\u{202e}x".into()));
    t.no(
        "signature-untrusted-comment-not-utf-8",
        FORM,
        Stage::Signatures,
        changed(|s| s.untrusted = b"caf\xe9".to_vec()),
    );
    let key = trusted();
    let names: Vec<(&str, String)> = vec![
        ("small-letters", format!("manifest.toml.{}.minisig", hex(&[key.id[7], 6, 5, 4, 3, 2, 0xab, 0xcd]))),
        ("of-another", name_of(&Key::new(9))),
        ("reversed", format!("manifest.toml.{}.minisig", hex(&key.id).to_uppercase())),
        ("short", "manifest.toml.0706.minisig".into()),
        ("without-id", "manifest.toml.minisig".into()),
        ("of-another-ending", format!("manifest.toml.{}.sig", key.printed())),
        ("in-a-folder", format!("signatures/{}", name_of(&key))),
    ];
    for (name, file) in names {
        t.no(
            format!("signature-name-{name}"),
            &["signature-form", "tar", "extra", "top-folder", "tag-file"],
            Stage::Signatures,
            move |w| {
                w.signatures[0].0.clone_from(&file);
            },
        );
    }
}

fn comments(t: &mut Table) {
    type Comment = fn(&str) -> String;
    let digest = |w: &Work| hex(&sha256(&w.manifest));
    let of = |make: fn(&str) -> String| {
        move |w: &mut Work| {
            let comment = make(&digest(w));
            w.signatures[0].1 = Minisig::of(&trusted(), &w.manifest, comment).text();
        }
    };
    const TIME: &str = "time:2026-11-24T03:37:27Z";
    let lies: &[(&str, Comment)] = &[
        ("version", |d| format!("vellum/2\tmanifest\tarchive:-\tsha256:{d}\t{TIME}")),
        ("kind", |d| format!("vellum/1\twithdrawal\tarchive:-\tsha256:{d}\t{TIME}")),
        ("kind-policy", |d| format!("vellum/1\tpolicy\tarchive:-\tsha256:{d}\t{TIME}")),
        ("digest", |_| format!("vellum/1\tmanifest\tarchive:-\tsha256:{}\t{TIME}", hex(&sha256(b"x")))),
        ("digest-upper-case", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{}\t{TIME}", d.to_uppercase())),
        ("digest-short", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{}\t{TIME}", &d[..63])),
        ("spaces", |d| format!("vellum/1 manifest archive:- sha256:{d} {TIME}")),
        ("order", |d| format!("vellum/1\tmanifest\tsha256:{d}\tarchive:-\t{TIME}")),
        ("field-more", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\t{TIME}\tx")),
        ("tab-last", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\t{TIME}\t")),
        ("space-last", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\t{TIME} ")),
        ("without-time", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}")),
        ("without-archive", |d| format!("vellum/1\tmanifest\tsha256:{d}\t{TIME}")),
        ("archive-empty", |d| format!("vellum/1\tmanifest\tarchive:\tsha256:{d}\t{TIME}")),
        ("archive-bad", |d| format!("vellum/1\tmanifest\tarchive:a b\tsha256:{d}\t{TIME}")),
        ("empty", |_| String::new()),
        ("of-minisign", |_| "timestamp:1772323200\tfile:manifest.toml\thashed".into()),
        ("long", |d| format!("vellum/1\tmanifest\tarchive:{}\tsha256:{d}\t{TIME}", "a".repeat(8000))),
    ];
    for &(name, make) in lies {
        let codes: &[&str] =
            if name == "long" || name == "empty" { &["signature-comment", "signature-form"] } else { COMMENT };
        t.no(format!("comment-{name}"), codes, Stage::Signatures, of(make));
    }
    t.no(
        "comment-with-escape",
        &["signature-form", "signature-comment"],
        Stage::Signatures,
        of(|d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:\x1b[2J")),
    );
    let odd: &[(&str, Comment)] = &[
        ("time-text", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:yesterday")),
        ("time-fraction", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:2026-11-24T03:37:27.5Z")),
        ("time-offset", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:2026-11-24T03:37:27+01:00")),
        ("time-impossible", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:2026-02-30T03:37:27Z")),
        ("time-empty", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:")),
        ("time-leap-second", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:2026-06-30T23:59:60Z")),
        ("time-year-0000", |d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:0000-01-01T00:00:00Z")),
    ];
    for &(name, make) in odd {
        t.agree(format!("comment-{name}"), Stage::Signatures, of(make));
    }
    t.yes(
        "comment-of-an-archive-where-none-is-named",
        Stage::Signatures,
        of(|d| format!("vellum/1\tmanifest\tarchive:example.org/library\tsha256:{d}\t{TIME}")),
    );
    t.yes(
        "comment-of-another-time",
        Stage::Signatures,
        of(|d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\ttime:1999-12-31T23:59:59Z")),
    );
    let archive = |w: &mut Work| w.more.push(("archive".into(), "\"example.org/library\"".into()));
    t.yes("comment-of-the-archive", Stage::Input, archive);
    t.add_two(
        "comment-of-another-archive",
        Expect::No(COMMENT),
        (Stage::Input, archive),
        (Stage::Signatures, of(|d| format!("vellum/1\tmanifest\tarchive:example.org/other\tsha256:{d}\t{TIME}"))),
    );
    t.add_two(
        "comment-of-no-archive",
        Expect::No(COMMENT),
        (Stage::Input, archive),
        (Stage::Signatures, of(|d| format!("vellum/1\tmanifest\tarchive:-\tsha256:{d}\t{TIME}"))),
    );
    t.no("comment-not-utf-8", &["signature-comment", "signature-form"], Stage::Signatures, |w| {
        let comment = [w.comment().as_bytes(), b"\xe9"].concat();
        w.signatures[0].1 = Minisig::of(&trusted(), &w.manifest, comment).text();
    });
}

fn many(t: &mut Table) {
    let signers = |count: u8| (TRUSTED..TRUSTED + count).map(Key::new).collect::<Vec<_>>();
    for count in [2_u8, 3, 32] {
        t.yes(format!("signers-{count}"), Stage::Input, move |w| w.signers = signers(count));
    }
    t.no("signers-33", &["over-limit", "tar", "extra", "signature-form", "manifest"], Stage::Input, move |w| {
        w.signers = signers(33)
    });
    t.no("signers-200", &["over-limit", "tar", "extra", "signature-form", "manifest"], Stage::Input, move |w| {
        w.signers = signers(200)
    });
    t.no("signers-descending", &["tar"], Stage::Input, move |w| w.signers = signers(3));
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, move |w: &mut Work| w.signers = signers(3)),
        (Stage::Signatures, |w: &mut Work| w.signatures.reverse()),
    );
    t.no("signature-twice", &["tar", "extra"], Stage::Signatures, |w| w.signatures.push(w.signatures[0].clone()));
    t.no("signature-good-and-bad-by-one-id", &["tar", "extra", "signature-bad"], Stage::Signatures, |w| {
        let mut bad = good(w);
        bad.signature[0] ^= 1;
        w.signatures.push((w.signatures[0].0.clone(), bad.text()));
    });
    let two = move |w: &mut Work| w.signers = signers(2);
    let second = |change: fn(&mut Minisig)| {
        move |w: &mut Work| {
            let mut signature = Minisig::of(&Key::new(TRUSTED + 1), &w.manifest, w.comment());
            change(&mut signature);
            w.signatures[1].1 = signature.text();
        }
    };
    t.add_two(
        "unknown-signature-that-does-not-fit",
        Expect::Yes,
        (Stage::Input, two),
        (Stage::Signatures, second(|s| s.signature[0] ^= 1)),
    );
    t.add_two(
        "unknown-signature-of-legacy-kind",
        Expect::No(FORM),
        (Stage::Input, two),
        (Stage::Signatures, second(|s| s.algorithm = *b"Ed")),
    );
    t.add_two(
        "unknown-signature-of-another-comment",
        Expect::Yes,
        (Stage::Input, two),
        (
            Stage::Signatures,
            second(|s| {
                s.comment = b"vellum/1\tmanifest\tarchive:-\tsha256:00\ttime:2026-11-24T03:37:27Z".to_vec();
            }),
        ),
    );
    t.add_two(
        "unknown-signature-of-no-comment",
        Expect::Yes,
        (Stage::Input, two),
        (Stage::Signatures, second(|s| s.comment.clear())),
    );
    t.add_two(
        "unknown-signature-named-for-another",
        Expect::No(&["signature-form", "tar", "extra"]),
        (Stage::Input, two),
        (Stage::Signatures, |w: &mut Work| {
            w.signatures[1].0 = format!("manifest.toml.{}.minisig", printed(&[0x42, 1, 2, 3, 4, 5, 6, 7]));
        }),
    );
    t.add_two(
        "unknown-signature-of-a-comment-with-escape",
        Expect::No(FORM),
        (Stage::Input, two),
        (Stage::Signatures, second(|s| s.comment = b"\x1b[2J".to_vec())),
    );
    t.add_two(
        "unknown-signature-empty",
        Expect::No(FORM),
        (Stage::Input, two),
        (Stage::Signatures, |w: &mut Work| {
            w.signatures[1].1.clear();
        }),
    );
}

fn file_names(t: &mut Table) {
    t.yes("file-name-of-its-id", Stage::File, |_| ()).file_name = Some(|forged| format!("{}.tar.zst", forged.id));
    t.no("file-name-of-another-id", &["file-name"], Stage::File, |_| ()).file_name =
        Some(|_| format!("{}.tar.zst", hex(&sha256(b"another"))));
    t.agree("file-name-of-its-id-upper-case", Stage::File, |_| ()).file_name =
        Some(|forged| format!("{}.tar.zst", forged.id.to_uppercase()));
    t.agree("file-name-of-another-id-upper-case", Stage::File, |_| ()).file_name =
        Some(|_| format!("{}.tar.zst", hex(&sha256(b"another more")).to_uppercase()));
    t.yes("file-name-of-63-digits", Stage::File, |_| ()).file_name = Some(|_| format!("{}.tar.zst", "a".repeat(63)));
    t.yes("file-name-of-65-digits", Stage::File, |_| ()).file_name = Some(|_| format!("{}.tar.zst", "a".repeat(65)));
    t.yes("file-name-with-no-hex", Stage::File, |_| ()).file_name = Some(|_| format!("{}.tar.zst", "g".repeat(64)));
    t.yes("file-name-of-another-ending", Stage::File, |_| ()).file_name =
        Some(|_| format!("{}.tar.zstd", "b".repeat(64)));
    t.yes("file-name-with-more-before", Stage::File, |_| ()).file_name =
        Some(|_| format!("x-{}.tar.zst", "c".repeat(64)));
}
