//! Forged and mutated bundles against the built binary: what the text of the format refuses is refused, what it allows is taken, no verb
//! says yes where another has said no, and a reader by others agrees.
//!
//! The forger shares no code with the library. `VELLUM_LONG=1` makes more mutations and runs every verb on each;
//! `VELLUM_FORGED=text` takes only the lies whose names hold the text.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "the modules of a test are its own world; the forger offers more than is used today"
)]

mod forge;
mod judge;
mod lies;
mod mutate;
mod random;
mod sign;
mod tar;
mod zframe;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use forge::{Forged, Stage, Work};
use judge::{Case, Court, Others, Verb, Verdict, on_two_threads, reader_by_others, some_verbs};
use lies::{Expect, Lie};
use random::Random;

/// Mutations in a short and in a long run.
const SHORT: usize = 2_000;
const LONG: usize = 20_000;
/// Failures that are printed.
const SHOWN: usize = 60;

fn long() -> bool {
    std::env::var_os("VELLUM_LONG").is_some_and(|value| value == "1")
}

/// The lies asked for; those that are `honest` by expectation, or the others.
fn lies(wanted: impl Fn(&Lie) -> bool) -> Vec<Lie> {
    let part = std::env::var("VELLUM_FORGED").unwrap_or_default();
    lies::all().into_iter().filter(|lie| lie.name.contains(&part) && (long() || !lie.giant) && wanted(lie)).collect()
}

fn case(lie: &Lie) -> Case {
    let forged = lie.forge();
    let file_name = lie.file_name.map_or_else(|| format!("{}.tar.zst", lie.name), |name| name(&forged));
    Case { name: lie.name.clone(), file_name, forged }
}

/// Fails if there are faults, and keeps the files for whoever looks into it.
fn settle(court: Court, faults: Vec<String>) {
    if faults.is_empty() {
        return;
    }
    for fault in faults.iter().take(SHOWN) {
        eprintln!("{fault}");
    }
    panic!("{} faults; the files are in {}", faults.len(), court.keep().display());
}

/// Judges lies, compares with what is expected and with what the reader by others says.
fn judge_lies(lies: &[Lie]) {
    let court = Court::new();
    let judged = on_two_threads(lies.len(), |number| {
        let (lie, mut faults) = (&lies[number], Vec::new());
        let case = case(lie);
        let verbs = match (lie.heavy, &lie.expect) {
            _ if lie.giant => Vec::new(),
            _ if long() => Verb::ALL.to_vec(),
            (true, _) => vec![Verb::Salvage],
            (false, Expect::Yes) => Verb::ALL.to_vec(),
            (false, _) => {
                let mut verbs = some_verbs(&mut Random::new(number as u64), 2);
                // Reading one article is what the index is for.
                if lie.name.starts_with("head-") && !verbs.contains(&Verb::Cat) {
                    verbs.push(Verb::Cat);
                }
                verbs
            }
        };
        let (verdict, broken) = court.judge(&case, &verbs);
        faults.extend(broken);
        match &lie.expect {
            Expect::Yes if !verdict.ok => faults.push(format!("is refused: {:?}", verdict.codes())),
            Expect::No(_) if verdict.ok => faults.push("is taken".into()),
            Expect::No(codes) if !codes.is_empty() && !codes.iter().any(|code| verdict.codes().contains(code)) => {
                faults.push(format!("is refused for {:?}, expected one of {codes:?}", verdict.codes()));
            }
            _ => {}
        }
        (case.file_name, verdict, faults)
    });
    let mut faults = Vec::new();
    let others = reader_by_others(&court.corpus(), &mut faults);
    for (lie, (file, verdict, of_it)) in lies.iter().zip(judged) {
        faults.extend(of_it.into_iter().map(|fault| format!("{}: {fault}", lie.name)));
        if lie.expect != Expect::Any {
            faults.extend(divided(&lie.name, &verdict, &others, &file));
        }
    }
    settle(court, faults);
}

/// A fault where the two readers give two answers.
fn divided(name: &str, verdict: &Verdict, others: &Others, file: &str) -> Option<String> {
    let (ok, findings) = others.get(file)?;
    let say =
        || format!("{name}: verify says {} {:?}, the reader by others {ok} {findings:?}", verdict.ok, verdict.codes());
    (*ok != verdict.ok).then(say)
}

#[test]
fn what_the_text_allows_is_taken() {
    judge_lies(&lies(|lie| lie.expect == Expect::Yes));
}

#[test]
fn every_lie_is_found_and_no_verb_believes_it() {
    judge_lies(&lies(|lie| lie.expect != Expect::Yes));
}

#[test]
fn no_mutation_breaks_a_verb_or_divides_the_readers() {
    let (count, verbs) = if long() { (LONG, Verb::ALL.len()) } else { (SHORT, 2) };
    let court = Court::new();
    let judged = on_two_threads(count, |number| {
        let (what, forged) = mutate::mutated(number as u64);
        let verbs = if verbs == Verb::ALL.len() {
            Verb::ALL.to_vec()
        } else {
            some_verbs(&mut Random::new(!(number as u64)), verbs)
        };
        let case = Case { file_name: format!("{what}.tar.zst"), name: what, forged };
        let (verdict, faults) = court.judge(&case, &verbs);
        (case, verdict, faults)
    });
    let mut faults = Vec::new();
    let others = reader_by_others(&court.corpus(), &mut faults);
    for (case, verdict, of_it) in judged {
        faults.extend(of_it.into_iter().map(|fault| format!("{}: {fault}", case.name)));
        faults.extend(divided(&case.name, &verdict, &others, &case.file_name));
    }
    settle(court, faults);
}

/// Writes the corpus to the folder that `VELLUM_FORGED_TO` names, for readers that are made elsewhere.
#[test]
#[ignore = "writes files where it is told to"]
fn the_corpus_is_written() {
    let Some(folder) = std::env::var_os("VELLUM_FORGED_TO") else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).unwrap();
    let lies = lies(|lie| long() || !lie.heavy);
    let expected = on_two_threads(lies.len(), |number| {
        let case = case(&lies[number]);
        fs::write(folder.join(&case.file_name), &case.forged.file).unwrap();
        format!("{}\t{}\t{:?}\n", case.file_name, lies[number].name, lies[number].expect)
    });
    fs::write(folder.with_extension("tsv"), expected.concat()).unwrap();
    let mutations = folder.with_extension("mutations");
    fs::create_dir_all(&mutations).unwrap();
    on_two_threads(if long() { LONG } else { SHORT }, |number| {
        let (what, forged) = mutate::mutated(number as u64);
        fs::write(mutations.join(format!("{what}.tar.zst")), &forged.file).unwrap();
    });
    println!("the key is {}", sign::Key::new(forge::TRUSTED).line());
}

// The forger is looked at itself: a lie in it would be found nowhere else.

#[test]
fn each_lie_has_a_name_of_its_own_and_is_another_file() {
    let lies = lies(|lie| !lie.heavy);
    let mut names = HashSet::new();
    let honest = Work::new().honest().file;
    for (lie, forged) in lies.iter().zip(on_two_threads(lies.len(), |number| lies[number].forge())) {
        assert!(names.insert(&lie.name), "{} is told twice", lie.name);
        let fine = lie.file_name.is_some() || lie.name == "honest";
        assert!(fine || forged.file != honest, "{} changes nothing", lie.name);
        assert!(lie.expect != Expect::Yes || !forged.lists.is_empty(), "{} is not signed", lie.name);
    }
    assert!(lies.len() > 1000, "{} lies", lies.len());
}

#[test]
fn honest_bundles_open_with_the_tools_of_others() {
    for number in 0..mutate::HONEST {
        let folder = tempfile::tempdir().unwrap();
        let kept = std::cell::RefCell::new(None);
        let forged: Forged = mutate::honest(number).make(&|stage, work| {
            if stage == Stage::File {
                kept.replace(Some(work.clone()));
            }
        });
        let work = kept.into_inner().unwrap();
        fs::write(folder.path().join("b.tar.zst"), &forged.file).unwrap();
        let script = "zstd -qdc b.tar.zst | tar -x && cd */ && sha256sum --quiet --strict -c manifest-sha256.txt tagmanifest-sha256.txt";
        let run = std::process::Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
        if run.status.code() == Some(127) {
            eprintln!("SKIPPED: a tool is missing: {}", String::from_utf8_lossy(&run.stderr));
            return;
        }
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let key = minisign_verify::PublicKey::from_base64(&sign::Key::new(forge::TRUSTED).line()).unwrap();
        let of_key = work.signatures.iter().find(|(name, _)| name.contains(&sign::Key::new(forge::TRUSTED).printed()));
        let signature = minisign_verify::Signature::decode(std::str::from_utf8(&of_key.unwrap().1).unwrap()).unwrap();
        key.verify(&work.manifest, &signature, false).unwrap();
    }
}
