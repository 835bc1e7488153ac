//! Files so long that a header cannot say their size in octal digits. They are of zeros, and never in memory.

use sha2::{Digest as _, Sha256};

use super::super::forge::{Article, Stage, Work, hex};
use super::super::tar::{Member, header};
use super::super::zframe::{Hand, table};
use super::index::word;
use super::{Expect, Table, replace_once};

/// The longest file that needs no pax record.
const MAX_OCTAL: usize = 0o77_777_777_777;
/// What the file takes of the tar, with its padding.
const PLACE: usize = MAX_OCTAL + 1;
const FRAME: usize = 8 << 20;

pub(super) fn tell(t: &mut Table) {
    giant(t, "honest-file-of-8-gib-less-one", Expect::Yes, MAX_OCTAL, |path, size| header(path, size as u64));
    giant(t, "honest-file-of-8-gib", Expect::Yes, PLACE, |path, size| header(path, size as u64));
    giant(t, "file-of-8-gib-with-a-binary-size", Expect::No(&["tar"]), PLACE, |path, size| {
        let mut header = header(path, 0);
        header[124..136].copy_from_slice(&[&[0x80, 0, 0, 0][..], &(size as u64).to_be_bytes()].concat());
        super::super::tar::seal(&mut header);
        header
    });
    giant(t, "file-of-8-gib-less-one-with-a-record", Expect::No(&["tar"]), MAX_OCTAL, |path, size| {
        let record = super::super::tar::record(b"size", size.to_string().as_bytes());
        [super::super::tar::pax(&record), header(path, 0)].concat()
    });
}

fn giant(t: &mut Table, name: &str, expect: Expect, size: usize, head: fn(&[u8], usize) -> Vec<u8>) {
    let tell = move |stage, w: &mut Work| match stage {
        Stage::Input => w.articles = vec![Article::bare("g").file("zeros.bin", "")],
        Stage::Lines => w.lines[0][1][..64].copy_from_slice(hex(&digest_of_zeros(size)).as_bytes()),
        Stage::Fields => {
            let rest: usize = w.field("bytes").expect("it is there").parse().expect("a number");
            w.put("bytes", &(rest + size).to_string());
        }
        Stage::Pieces => replace_once(&mut w.pieces[0], " 0\n", format!(" {size}\n")),
        Stage::Members => {
            // The zeros follow this header; everything else lies behind them.
            let content: &mut Member = &mut w.members[0];
            content.header = Some(head(&content.path, size));
            w.unseen = PLACE;
        }
        Stage::Body => w.cuts = Some(vec![w.members[0].encoded_len()]),
        Stage::Head => {
            word(w, 1, 1, PLACE as i64);
            word(w, 2, 3, PLACE as i64);
            word(w, 2, 4, PLACE as i64);
        }
        Stage::Table => {
            let zeros = Hand::default().frame(&vec![0; FRAME]);
            let entry = (zeros.len() as u32, FRAME as u32);
            w.entries.splice(1..1, std::iter::repeat_n(entry, PLACE / FRAME));
            w.table = table(&w.entries);
        }
        Stage::File => {
            let zeros = Hand::default().frame(&vec![0; FRAME]).repeat(PLACE / FRAME);
            let at = w.frames[0].packed.len();
            w.file.splice(at..at, zeros);
        }
        _ => {}
    };
    let lie = t.tell(name, expect, tell);
    lie.heavy = true;
    lie.giant = true;
}

fn digest_of_zeros(size: usize) -> [u8; 32] {
    let (mut hash, zeros) = (Sha256::new(), vec![0; FRAME]);
    let mut left = size;
    while left > 0 {
        let now = left.min(FRAME);
        hash.update(&zeros[..now]);
        left -= now;
    }
    hash.finalize().into()
}
