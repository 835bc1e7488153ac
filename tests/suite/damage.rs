//! Damage to a bundle: every byte flipped, every length cut off, and what is said of it.

use vellum::finding::{Code, Severity};
use vellum::format::bundle::{Bundle, FileState, Report, check};
use vellum::trust::judge;

use crate::scene::{Scene, key, options, packed, run, trusted};

fn small_bundle() -> Vec<u8> {
    let scene = Scene::new();
    let packed = packed(&scene.articles(), &scene.path("out"), &options(), &key(7));
    std::fs::read(&packed.bundles[0].file).unwrap()
}

fn examined(bytes: &Vec<u8>) -> Report {
    check(bytes, run()).unwrap()
}

/// Says whether a reader would take these bytes for what the key signed.
fn passes(bytes: &Vec<u8>) -> bool {
    let report = examined(bytes);
    let (Some(tail), Some(manifest)) = (&report.tail, &report.manifest) else { return false };
    report.findings.is_empty() && judge(tail, manifest, &trusted(&key(7)), None).authentic()
}

/// What zstd alone makes of a bundle: its tar.
fn tar(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).unwrap()
}

#[test]
fn every_flipped_bit_is_detected_and_named_or_makes_another_form_of_the_same_bundle() {
    let good = small_bundle();
    assert!(passes(&good), "{:?}", examined(&good).findings);
    let plain = tar(&good);
    // Which flips of a byte are found to be no damage; what they decode to must then be the tar, byte for byte.
    let undetected = |at: usize| {
        let mut count = 0;
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            if examined(&bad).findings.iter().all(|finding| finding.severity() != Severity::Damage) {
                assert!(passes(&bad) && tar(&bad) == plain, "bit {bit} of byte {at}");
                count += 1;
            }
        }
        count
    };
    let mut forms = 0;
    let count = |found: usize| {
        forms += found;
        Ok::<(), ()>(())
    };
    vellum::pipeline::ordered(std::thread::available_parallelism().unwrap(), 0..good.len(), || undetected, count)
        .unwrap();
    let flips = 8 * good.len();
    assert!(forms * 50 <= flips, "{forms} of {flips} flipped bits are no damage, expected at most 2 %");
}

#[test]
fn every_length_cut_off_is_detected_and_named() {
    let good = small_bundle();
    for len in 0..good.len() {
        let report = examined(&good[..len].to_vec());
        let named = report.findings.iter().any(|f| matches!(f.code, Code::Truncated | Code::Table));
        assert!(named, "cut to {len}: {:?}", report.findings);
    }
}

#[test]
fn bytes_after_the_table_are_detected() {
    let good = small_bundle();
    for extra in [&b"\0"[..], b"more", &good] {
        assert!(!passes(&[&good[..], extra].concat()));
    }
}

#[test]
fn a_damaged_frame_names_its_articles_and_leaves_the_others_whole() {
    let scene = Scene::new();
    for n in 0..40 {
        let text = format!("# Article {n}\n\n{}", format!("word {n} ").repeat(2000));
        scene.write(&format!("in/a{n:02}.md"), text);
    }
    let options = vellum::folder::pack::PackOptions { frame_bytes: 64 << 10, ..options() };
    let packed = packed(&scene.path("in"), &scene.path("out"), &options, &key(7));
    let mut bytes = std::fs::read(&packed.bundles[0].file).unwrap();
    // Somewhere in the third frame: what it holds is found by the real zstd's own listing of the first two.
    let bundle = Bundle::open(bytes.clone()).unwrap();
    let contents = bundle.contents().unwrap();
    let place = contents.place(contents.list.find("data/a10/a10.md").unwrap());
    let packed_at = bytes.windows(4).enumerate().filter(|(_, w)| *w == [0x28, 0xb5, 0x2f, 0xfd]).map(|(n, _)| n);
    let starts: Vec<usize> = packed_at.collect();
    let frame = (place.content() / (64 << 10)) as usize;
    bytes[starts[frame] + 30] ^= 0xff;

    let report = examined(&bytes);
    assert!(report.findings.iter().any(|f| f.code == Code::Frame), "{:?}", report.findings);
    let articles = report.articles.unwrap();
    let lost: Vec<_> = articles.iter().filter(|a| a.state != FileState::Whole).map(|a| a.path.as_str()).collect();
    assert!((1..=5).contains(&lost.len()), "{lost:?}");
    assert_eq!(articles.len(), 40);
}

#[test]
fn salvage_gets_out_what_is_whole_of_a_truncated_bundle() {
    let scene = Scene::with_key();
    scene.articles();
    let bundle = scene.pack("in");
    let bytes = std::fs::read(&bundle).unwrap();
    let cut = scene.write("cut.tar.zst", &bytes[..bytes.len() - 60]);
    let cut = cut.display().to_string();
    let said = scene.expect(1, &["salvage", "--to", "rescued", &cut]);
    assert!(said.stderr.contains("--unsigned"), "{}", said.stderr);
    scene.expect(1, &["salvage", "--unsigned", "--to", "rescued", &cut]);
    let rescued = std::fs::read(scene.path("rescued/essays/tides/tides.md")).unwrap();
    assert_eq!(rescued, std::fs::read(scene.path("in/essays/tides.md")).unwrap());
}
