//! Keys and signatures against other people's vectors and tools: Wycheproof, CCTV, the cases of "Taming the many
//! EdDSAs", minisign, the crates `minisign` and
//! `minisign-verify`, OpenSSH's agent.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should stop there")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Verifier, VerifyingKey};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use vellum::digest::Digest;
use vellum::keys::agent::{Agent, AgentKey, MAX_MESSAGE_BYTES};
use vellum::keys::{
    Comment, Error, Kind, MAX_TRUSTED_LINE_BYTES, MAX_UNTRUSTED_LINE_BYTES, Passphrase, PublicKey, SIGNATURE_BYTES,
    SecretKey, Signature, Signer,
};

use crate::scene::{installed, vectors};

const CONTENT: &[u8] = b"format = \"vellum-manifest/1\"\n";

fn key() -> SecretKey {
    SecretKey::generate(std::array::from_fn(|place| u8::try_from(place).unwrap() + 1))
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).unwrap()
}

fn comment() -> Comment {
    let time = "2026-11-24T03:37:27Z".parse().unwrap();
    Comment::new(Kind::Manifest, Some("example.org/library"), Digest::of(CONTENT), time).unwrap()
}

fn signature() -> Signature {
    Signature::sign(&key(), CONTENT, &comment()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Runs minisign in `folder` with `input` on its standard input.
fn minisign(folder: &Path, input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new("minisign")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // minisign may end without reading: a broken pipe is no fault here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn minisign_succeeds(folder: &Path, input: &str, arguments: &[&str]) {
    let output = minisign(folder, input, arguments);
    assert!(output.status.success(), "minisign {arguments:?}: {output:?}");
}

/// Returns how many zeros a key's id begins with.
fn leading_zeros(key: &PublicKey) -> usize {
    key.id().to_string().bytes().take_while(|&b| b == b'0').count()
}

/// Lays content, signature and public key where minisign finds them.
fn lay_out(folder: &Path, key: &PublicKey, signature: &Signature) {
    fs::write(folder.join("content"), CONTENT).unwrap();
    fs::write(folder.join("content.minisig"), signature.to_string()).unwrap();
    fs::write(folder.join("key.pub"), key.to_file()).unwrap();
}

const VERIFY: [&str; 6] = ["-V", "-H", "-m", "content", "-p", "key.pub"];

#[test]
fn agrees_with_all_wycheproof_cases() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut cases = 0;
    for group in &set.test_groups {
        let bytes: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        let key = PublicKey::from_bytes(key().public().id(), bytes).unwrap();
        for test in &group.tests {
            let accepted = key.verify_raw(&test.msg, &test.sig).is_ok();
            assert_eq!(accepted, !test.result.must_fail(), "case {}: {}", test.tc_id, test.comment);
            cases += 1;
        }
    }
    assert_eq!(cases, 151);
}

/// What makes honest verifiers disagree about a signature, by the flags of CCTV. A residue of low order makes the equation without
/// cofactor fail; `low_order_component_R` alone does not occur without one, and `reencoded_k` not without a non-canonical point.
const REFUSED_FLAGS: [&str; 6] =
    ["low_order_A", "low_order_R", "low_order_component_A", "low_order_residue", "non_canonical_A", "non_canonical_R"];

/// Admits a key and checks a signature by it, as everything in vellum that verifies does.
fn accepts(key_bytes: [u8; 32], message: &[u8], signature: &[u8]) -> bool {
    PublicKey::from_bytes(key().public().id(), key_bytes).is_ok_and(|key| key.verify_raw(message, signature).is_ok())
}

#[test]
fn judges_every_cctv_case_by_its_flags() {
    let Some(folder) = vectors("cctv") else { return };
    let text = fs::read_to_string(folder.join("ed25519vectors.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 914);
    let mut accepted = 0;
    for case in &cases {
        let flags: Vec<&str> =
            case["flags"].as_array().into_iter().flatten().map(|flag| flag.as_str().unwrap()).collect();
        let sound = !flags.iter().any(|flag| REFUSED_FLAGS.contains(flag));
        let bytes = unhex(case["key"].as_str().unwrap()).try_into().unwrap();
        let (message, signature) = (case["msg"].as_str().unwrap(), unhex(case["sig"].as_str().unwrap()));
        assert_eq!(accepts(bytes, message.as_bytes(), &signature), sound, "{case}");
        accepted += usize::from(sound);
    }
    assert_eq!(accepted, 1);
}

/// A signature made to order: its equation with cofactor holds by construction.
struct Forged {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

/// Points to add to the multiples of B, and encodings to use in place of their own.
#[derive(Clone, Copy)]
struct Point {
    torsion: EdwardsPoint,
    encoded: Option<[u8; 32]>,
}

/// What is known of a candidate: the challenge, and whether the equation without cofactor holds for it, and for the challenge of the
/// encodings as they are in the signature.
struct Candidate {
    challenge: Scalar,
    holds: bool,
    holds_as_encoded: bool,
}

fn challenge(r: [u8; 32], a: [u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(a).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// Signs with A = `secret`·B + torsion and R = `nonce`·B + torsion the first message that is `wanted`. The challenge is hashed over the
/// canonical encodings if `reduced`, and over those in the signature if not.
fn forge(secret: u8, nonce: u8, [a, r]: [Point; 2], reduced: bool, wanted: impl Fn(&Candidate) -> bool) -> Forged {
    let (secret, nonce) = (Scalar::from(secret), Scalar::from(nonce));
    let a_point = EdwardsPoint::mul_base(&secret) + a.torsion;
    let r_point = EdwardsPoint::mul_base(&nonce) + r.torsion;
    let (a_canonical, r_canonical) = (a_point.compress().0, r_point.compress().0);
    let (a_bytes, r_bytes) = (a.encoded.unwrap_or(a_canonical), r.encoded.unwrap_or(r_canonical));
    for n in 0..10_000_u32 {
        let message = n.to_le_bytes().to_vec();
        let as_encoded = challenge(r_bytes, a_bytes, &message);
        let challenge = if reduced { challenge(r_canonical, a_canonical, &message) } else { as_encoded };
        let s = nonce + challenge * secret;
        let holds = |k: Scalar| EdwardsPoint::mul_base(&s) == r_point + a_point * k;
        assert!((EdwardsPoint::mul_base(&s) - r_point - a_point * challenge).is_small_order());
        if wanted(&Candidate { challenge, holds: holds(challenge), holds_as_encoded: holds(as_encoded) }) {
            let signature = [r_bytes, s.to_bytes()].concat().try_into().unwrap();
            return Forged { key: a_bytes, message, signature };
        }
    }
    panic!("no message fits");
}

/// Adds the order of the group to S, `times` times: the same number modulo that order.
fn beyond_the_order(mut forged: Forged, times: u32) -> Forged {
    // 2^252 + 27742317777372353535851937790883648493, little-endian: one more than the greatest scalar.
    let mut order = (Scalar::ZERO - Scalar::ONE).to_bytes();
    order[0] += 1;
    for _ in 0..times {
        let mut carry = 0;
        for (byte, add) in forged.signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert_eq!(carry, 0);
    }
    forged
}

/// The twelve cases of Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs" (2020), made anew. The paper says which of them dalek
/// accepts: that it does so here shows that these are the same cases.
#[test]
fn refuses_the_twelve_signatures_on_which_verifiers_disagree() {
    let point = |torsion| Point { torsion, encoded: None };
    // Points of order 1, 8 and 2; x of the last is 0, so that the sign bit makes another encoding of it.
    let (none, small, two) = (point(EIGHT_TORSION[0]), point(EIGHT_TORSION[1]), point(EIGHT_TORSION[4]));
    let mut signed = two.torsion.compress().0;
    signed[31] |= 0x80;
    let odd = Point { encoded: Some(signed), ..two };

    let passes = |found: &Candidate| found.holds;
    let only_cofactored = |found: &Candidate| !found.holds;
    // A verifier that reduces 8·k before it multiplies does not clear the small part of A.
    let prereduction = |found: &Candidate| {
        !found.holds && small.torsion * (found.challenge * Scalar::from(8_u8)) != EdwardsPoint::default()
    };
    let only_reduced = |found: &Candidate| found.holds && !found.holds_as_encoded;
    let sound = || forge(7, 5, [none, none], false, passes);
    let cases = [
        forge(0, 0, [small, small], false, passes),
        forge(0, 5, [small, small], false, passes),
        forge(7, 0, [small, small], false, passes),
        forge(7, 5, [small, small], false, passes),
        forge(7, 5, [small, small], false, only_cofactored),
        forge(7, 5, [small, none], false, prereduction),
        beyond_the_order(sound(), 1),
        beyond_the_order(sound(), 14),
        forge(7, 0, [small, odd], true, only_reduced),
        forge(7, 0, [small, odd], false, passes),
        forge(0, 5, [odd, two], true, only_reduced),
        forge(0, 5, [odd, two], false, passes),
    ];
    let accepted_by = |verifier: &dyn Fn(&Forged) -> bool| -> Vec<usize> {
        (0..cases.len()).filter(|&n| verifier(&cases[n])).collect()
    };
    let dalek = |case: &Forged| {
        (VerifyingKey::from_bytes(&case.key).unwrap(), ed25519_dalek::Signature::from_bytes(&case.signature))
    };
    let lenient = |case: &Forged| {
        let (key, signature) = dalek(case);
        key.verify(&case.message, &signature).is_ok()
    };
    let strict = |case: &Forged| {
        let (key, signature) = dalek(case);
        key.verify_strict(&case.message, &signature).is_ok()
    };
    assert_eq!(accepted_by(&lenient), [0, 1, 2, 3, 11]);
    assert_eq!(accepted_by(&strict), [3]);
    let ours = |case: &Forged| accepts(case.key, &case.message, &case.signature);
    assert_eq!(accepted_by(&ours), Vec::<usize>::new());
    assert!(ours(&sound()), "the same maker, with nothing odd");
}

#[test]
fn minisign_accepts_our_keys_and_signatures() {
    if !installed("minisign") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lay_out(folder, key().public(), &signature());
    minisign_succeeds(folder, "", &VERIFY);
    minisign_succeeds(folder, "", &["-V", "-H", "-m", "content", "-P", &key().public().to_line()]);

    fs::write(folder.join("open.key"), key().seal(None, [7; 32]).as_bytes()).unwrap();
    fs::write(folder.join("sealed.key"), key().seal(Some(&phrase("pässword")), [7; 32]).as_bytes()).unwrap();
    for (secret, input) in [("open.key", ""), ("sealed.key", "pässword\n")] {
        minisign_succeeds(folder, input, &["-S", "-s", secret, "-m", "content", "-t", "theirs"]);
        minisign_succeeds(folder, "", &VERIFY);
        minisign_succeeds(folder, input, &["-R", "-f", "-s", secret, "-p", "again.pub"]);
        assert_eq!(fs::read_to_string(folder.join("again.pub")).unwrap(), key().public().to_file());
    }
    let wrong = minisign(folder, "password\n", &["-S", "-s", "sealed.key", "-m", "content"]);
    assert!(!wrong.status.success());
}

#[test]
fn reads_the_keys_and_signatures_that_minisign_makes() {
    if !installed("minisign") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("content"), CONTENT).unwrap();
    for (input, flags, sealed) in [("", &["-W"][..], false), ("a b\na b\n", &[][..], true)] {
        let generate = [&["-G", "-f", "-p", "key.pub", "-s", "its.key"], flags].concat();
        minisign_succeeds(folder, input, &generate);
        let public_file = fs::read_to_string(folder.join("key.pub")).unwrap();
        let public = PublicKey::parse(&public_file).unwrap();
        // Some releases of minisign leave out the leading zeros of the id in the comment, which nobody reads.
        let padded =
            public_file.replacen("public key ", &format!("public key {}", "0".repeat(leading_zeros(&public))), 1);
        assert!([&public_file, &padded].contains(&&public.to_file()), "{public_file}");

        let file = fs::read(folder.join("its.key")).unwrap();
        assert_eq!(SecretKey::is_sealed(&file).unwrap(), sealed);
        if sealed {
            assert!(matches!(SecretKey::open(&file, None), Err(Error::PassphraseMissing)));
        }
        let secret = SecretKey::open(&file, Some(&phrase("a b"))).unwrap();
        assert_eq!(*secret.public(), public);

        // Both sides are deterministic: with the same comments they make the same signature.
        let ours = Signature::sign(&secret, CONTENT, &comment()).unwrap();
        let text = comment().to_string();
        let theirs = ["-S", "-s", "its.key", "-m", "content", "-t", &text, "-c", "signature from vellum secret key"];
        minisign_succeeds(folder, input, &theirs);
        assert_eq!(fs::read_to_string(folder.join("content.minisig")).unwrap(), ours.to_string());
        if sealed {
            // Each use of a key that minisign sealed takes 1 GiB and seconds.
            continue;
        }

        minisign_succeeds(folder, input, &["-S", "-s", "its.key", "-m", "content"]);
        let signature = fs::read(folder.join("content.minisig")).unwrap();
        let read = Signature::decode(&signature).unwrap();
        assert_eq!(read.to_string().as_bytes(), signature);
        read.verify(&public, CONTENT).unwrap();
        assert!(matches!(read.comment(), Err(Error::CommentFormat { .. })));

        minisign_succeeds(folder, input, &["-S", "-l", "-s", "its.key", "-m", "content"]);
        let legacy = fs::read(folder.join("content.minisig")).unwrap();
        assert!(matches!(Signature::decode(&legacy), Err(Error::LegacySignature { id }) if id == public.id()));
    }
}

#[test]
fn draws_the_limits_of_comments_where_minisign_does() {
    if !installed("minisign") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lay_out(folder, key().public(), &signature());
    let file = folder.join("content.minisig");

    // minisign itself cannot write a line this long, so another signer does.
    let open = key().seal(None, [7; 32]).to_string();
    let open = minisign::SecretKeyBox::from_string(&open).unwrap().into_unencrypted_secret_key().unwrap();
    for (length, fits) in [(MAX_TRUSTED_LINE_BYTES, true), (MAX_TRUSTED_LINE_BYTES + 1, false)] {
        let trusted = "t".repeat(length - "trusted comment: ".len());
        let text = minisign::sign(None, &open, CONTENT, Some(&trusted), None).unwrap().to_string();
        fs::write(&file, &text).unwrap();
        match Signature::parse(&text) {
            Ok(read) => assert!(fits && read.verify(key().public(), CONTENT).is_ok()),
            Err(error) => assert!(!fits && matches!(error, Error::SignatureFormat { line: 3, .. }), "{error}"),
        }
        assert_eq!(minisign(folder, "", &VERIFY).status.success(), fits, "{length}");
    }

    let text = signature().to_string();
    let rest = text.split_once('\n').unwrap().1;
    for (length, fits) in [(MAX_UNTRUSTED_LINE_BYTES, true), (MAX_UNTRUSTED_LINE_BYTES + 1, false)] {
        let first = format!("untrusted comment: {}", "u".repeat(length - 19));
        let text = format!("{first}\n{rest}");
        fs::write(&file, &text).unwrap();
        assert_eq!(Signature::parse(&text).is_ok(), fits, "{length}");
        assert_eq!(minisign(folder, "", &VERIFY).status.success(), fits, "{length}");
    }
}

#[test]
fn the_minisign_crates_accept_our_keys_and_signatures() {
    let text = signature().to_string();
    let line = key().public().to_line();
    let theirs = minisign_verify::PublicKey::decode(&key().public().to_file()).unwrap();
    theirs.verify(CONTENT, &minisign_verify::Signature::decode(&text).unwrap(), false).unwrap();

    let theirs = minisign::PublicKey::from_base64(&line).unwrap();
    let read = minisign::SignatureBox::from_string(&text).unwrap();
    minisign::verify(&theirs, &read, std::io::Cursor::new(CONTENT), true, false, false).unwrap();

    let open = key().seal(None, [7; 32]).to_string();
    let open = minisign::SecretKeyBox::from_string(&open).unwrap().into_unencrypted_secret_key().unwrap();
    assert_eq!(minisign::PublicKey::from_secret_key(&open).unwrap().to_base64(), line);
    let sealed = key().seal(Some(&phrase("pw")), [7; 32]).to_string();
    let sealed = minisign::SecretKeyBox::from_string(&sealed).unwrap().into_secret_key(Some("pw".into())).unwrap();
    assert_eq!(minisign::PublicKey::from_secret_key(&sealed).unwrap().to_base64(), line);
}

#[test]
fn reads_the_keys_and_signatures_that_the_minisign_crate_makes() {
    for pair in [
        minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
        minisign::KeyPair::generate_encrypted_keypair(Some("pw".into())).unwrap(),
    ] {
        let public = PublicKey::parse(&pair.pk.to_box().unwrap().to_string()).unwrap();
        let file = pair.sk.to_box(None).unwrap().to_string();
        let secret = SecretKey::open(file.as_bytes(), Some(&phrase("pw"))).unwrap();
        assert_eq!(*secret.public(), public);
        if SecretKey::is_sealed(file.as_bytes()).unwrap() {
            let outcome = SecretKey::open(file.as_bytes(), Some(&phrase("pW")));
            assert!(matches!(outcome, Err(Error::SecretKeyUnopened)));
            continue;
        }
        let signed = minisign::sign(None, &pair.sk, CONTENT, Some(&comment().to_string()), None).unwrap();
        let read = Signature::parse(&signed.to_string()).unwrap();
        read.verify(&public, CONTENT).unwrap();
        assert_eq!(read.comment().unwrap(), comment());
    }
}

/// An `ssh-agent` of our own, ended with the test.
struct RunningAgent(Child, PathBuf);

impl RunningAgent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self(child, socket);
        let begun = Instant::now();
        while Agent::connect(&agent.1).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "ssh-agent does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("SSH_AUTH_SOCK", &self.1).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn minisign_accepts_what_an_ssh_agent_signs() {
    if !["ssh-agent", "ssh-add", "ssh-keygen", "minisign"].into_iter().all(installed) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let running = RunningAgent::start(folder);
    for (kind, name) in [("ecdsa", "other"), ("ed25519", "mine")] {
        let file = folder.join(name);
        let file = file.to_str().unwrap();
        running.run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "a comment", "-f", file]);
        running.run("ssh-add", &["-q", file]);
    }

    let mut agent = Agent::connect(&running.1).unwrap();
    let identities = agent.identities().unwrap();
    let [(public, text)] = identities.as_slice() else { panic!("{identities:?}") };
    assert_eq!(text, "a comment");
    assert_eq!(*public, PublicKey::parse(&fs::read_to_string(folder.join("mine.pub")).unwrap()).unwrap());
    assert_eq!(public.id().as_bytes(), &Digest::of(public.as_bytes()).as_bytes()[..8]);

    let signer = agent.into_key(public.clone());
    let signature = Signature::sign(&signer, CONTENT, &comment()).unwrap();
    signature.verify(public, CONTENT).unwrap();
    lay_out(folder, public, &signature);
    minisign_succeeds(folder, "", &VERIFY);

    running.run("ssh-add", &["-q", "-D"]);
    assert!(matches!(signer.sign(CONTENT), Err(Error::AgentRefused { request: "sign" })));
    assert!(Agent::connect(&running.1).unwrap().identities().unwrap().is_empty());
    drop(running);
    assert!(matches!(signer.sign(CONTENT), Err(Error::AgentConnection(_))));
}

/// Connects to an agent that answers one request with `reply`.
fn lying_agent(folder: &Path, reply: Vec<u8>) -> Agent {
    let socket = folder.join(format!("{:x}", Digest::of(&reply).as_bytes()[0]));
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = Agent::connect(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(&reply).unwrap();
    });
    agent
}

fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn signed_reply(kind: &str, signature: &[u8]) -> Vec<u8> {
    let blob = [ssh_string(kind.as_bytes()), ssh_string(signature)].concat();
    ssh_string(&[vec![14], ssh_string(&blob)].concat())
}

#[test]
fn refuses_every_lie_of_an_agent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weak = [ssh_string(b"ssh-ed25519"), ssh_string(&[0; 32])].concat();
    for reply in [
        vec![],
        vec![0, 0, 0],
        vec![0; 4],
        ssh_string(&[12]),
        ssh_string(&[12, 0xff, 0xff, 0xff, 0xff]),
        ssh_string(&[12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
        ssh_string(&[12, 0, 0, 0, 0, 0]),
        ssh_string(&[12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ssh_string(&[14, 0, 0, 0, 0]),
        ssh_string(&[5]),
        ssh_string(&[vec![12, 0, 0, 0, 1], ssh_string(&weak), ssh_string(b"")].concat()),
        (MAX_MESSAGE_BYTES + 1).to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        [&MAX_MESSAGE_BYTES.to_be_bytes()[..], &[12]].concat(),
    ] {
        assert!(lying_agent(folder, reply.clone()).identities().is_err(), "{reply:?}");
    }

    let key = key();
    let good = key.sign(CONTENT).unwrap();
    let asked = |reply| -> Result<[u8; SIGNATURE_BYTES], Error> {
        let signer: AgentKey = lying_agent(folder, reply).into_key(key.public().clone());
        signer.sign(CONTENT)
    };
    assert_eq!(asked(signed_reply("ssh-ed25519", &good)).unwrap(), good);
    let other = key.sign(b"other").unwrap();
    assert!(matches!(asked(signed_reply("ssh-ed25519", &other)), Err(Error::AgentSignature { .. })));
    for reply in [
        signed_reply("sk-ssh-ed25519@openssh.com", &good),
        signed_reply("ssh-ed25519", &good[1..]),
        signed_reply("ssh-ed25519", &[&good[..], &[0]].concat()),
        ssh_string(&[14]),
        ssh_string(&[vec![14], ssh_string(b""), vec![0]].concat()),
    ] {
        assert!(matches!(asked(reply), Err(Error::AgentProtocol { .. })));
    }
    let signer = lying_agent(folder, vec![]).into_key(key.public().clone());
    let long = vec![0; MAX_MESSAGE_BYTES as usize];
    assert!(matches!(signer.sign(&long), Err(Error::AgentProtocol { .. })));
}

#[test]
fn no_flipped_bit_of_a_signature_passes_outside_the_untrusted_comment() {
    let (key, original) = (key(), signature());
    original.verify(key.public(), CONTENT).unwrap();
    let text = original.to_string();
    let unsigned = "untrusted comment: ".len()..text.find('\n').unwrap();
    let mut passed = 0;
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let Ok(read) = Signature::decode(&bytes) else { continue };
            assert_eq!(read.to_string().as_bytes(), bytes, "byte {place}, bit {bit}");
            if read.verify(key.public(), CONTENT).is_ok() {
                assert!(unsigned.contains(&place), "byte {place}, bit {bit}");
                assert_eq!(read.comment().unwrap(), comment());
                passed += 1;
            }
        }
    }
    assert!(passed > 0);
    for length in 0..text.len() {
        assert!(Signature::parse(&text[..length]).is_err(), "{length} bytes");
    }
    for more in ["\n", " ", "a", "\r\n"] {
        assert!(Signature::parse(&format!("{text}{more}")).is_err(), "{more:?}");
    }
    assert!(Signature::parse(&text.replace('\n', "\r\n")).is_err());
}

#[test]
fn no_flipped_bit_of_a_public_key_verifies_as_another() {
    let (key, signature) = (key(), signature());
    let text = key.public().to_file();
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let read = std::str::from_utf8(&bytes).ok().and_then(|text| PublicKey::parse(text).ok());
            let Some(read) = read else { continue };
            // Any id and one point in sixteen make another sound key; it has nothing to do with the signature.
            assert_eq!(read == *key.public(), signature.verify(&read, CONTENT).is_ok(), "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn no_flipped_bit_of_a_secret_key_opens_another() {
    let text = key().seal(None, [7; 32]);
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] ^= 1 << bit;
            if let Ok(read) = SecretKey::open(&bytes, None) {
                assert_eq!(read.seal(None, [7; 32]), text, "byte {place}, bit {bit}");
            }
        }
    }
    // Each try at a sealed key costs a tenth of a second: one byte of the salt, the id, the seed, the key, the checksum.
    let text = key().seal(Some(&phrase("pw")), [7; 32]);
    assert_eq!(SecretKey::open(text.as_bytes(), Some(&phrase("pw"))).unwrap().public(), key().public());
    let start = text.find('\n').unwrap() + 1;
    for byte in [6, 37, 54, 62, 94, 126, 157] {
        let mut bytes = text.as_bytes().to_vec();
        let place = start + byte * 4 / 3;
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let outcome = SecretKey::open(&bytes, Some(&phrase("pw")));
        assert!(matches!(outcome, Err(Error::SecretKeyUnopened | Error::SecretKeyFormat { .. })), "byte {byte}");
    }
}

#[test]
fn reads_public_keys_in_all_three_forms_and_no_other() {
    let public = key().public().clone();
    let (file, line) = (public.to_file(), public.to_line());
    for good in [file.clone(), file.replace('\n', "\r\n"), file.trim_end().into(), line.clone(), format!(" {line}\n")] {
        assert_eq!(PublicKey::parse(&good).unwrap(), public, "{good:?}");
    }
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    for good in [ssh.to_owned(), format!("{ssh} git at home\n"), format!("{ssh} ")] {
        assert_eq!(PublicKey::parse(&good).unwrap(), PublicKey::parse(ssh).unwrap(), "{good:?}");
    }
    for bad in [
        String::new(),
        line[1..].into(),
        format!("{line}="),
        format!("{line}\n{line}"),
        format!("{file}{line}\n"),
        line.replacen("RW", "RU", 1),
        file.replace("untrusted", "trusted"),
        format!("untrusted comment: {}\n{line}\n", "x".repeat(1004)),
        ssh.replace("ssh-ed25519", "ssh-rsa"),
        ssh.replace(' ', "  "),
        format!("restrict {ssh}"),
        format!("{ssh}\n{ssh}"),
        ssh[..ssh.len() - 1].into(),
        "x".repeat(5000),
    ] {
        assert!(matches!(PublicKey::parse(&bad), Err(Error::PublicKeyFormat { .. })), "{bad:?}");
    }
}

#[test]
fn verifies_only_by_the_key_it_names_and_only_that_content() {
    let (key, signature) = (key(), signature());
    let other = SecretKey::generate([9; 40]);
    assert!(matches!(signature.verify(other.public(), CONTENT), Err(Error::WrongKey { .. })));
    let namesake = PublicKey::from_bytes(key.public().id(), *other.public().as_bytes()).unwrap();
    assert!(matches!(signature.verify(&namesake, CONTENT), Err(Error::BadSignature { .. })));
    assert!(matches!(signature.verify(key.public(), b"other"), Err(Error::BadSignature { .. })));
    let text = signature.to_string().replace("library", "librarY");
    let outcome = Signature::parse(&text).unwrap().verify(key.public(), CONTENT);
    assert!(matches!(outcome, Err(Error::BadCommentSignature { .. })));
    assert!(matches!(Signature::sign(&key, b"other", &comment()), Err(Error::OtherDigest { .. })));
}

#[test]
fn prints_nothing_secret() {
    let key = key();
    let sealed = key.seal(Some(&phrase("correct horse")), [7; 32]);
    let wrong = phrase("battery staple");
    let damaged = sealed.replacen("RWRT", "RWRU", 1);
    let open = key.seal(None, [7; 32]);
    let body = open.lines().nth(1).unwrap();
    let shown = [
        format!("{key:?} {key:#?}"),
        format!("{wrong:?} {wrong:#?}"),
        format!("{0:?} {0}", SecretKey::open(sealed.as_bytes(), Some(&wrong)).unwrap_err()),
        format!("{0:?} {0}", SecretKey::open(sealed.as_bytes(), None).unwrap_err()),
        format!("{0:?} {0}", SecretKey::open(damaged.as_bytes(), Some(&wrong)).unwrap_err()),
        format!("{0:?} {0}", SecretKey::open(body.as_bytes(), None).unwrap_err()),
        format!("{0:?} {0}", PublicKey::parse(&open).unwrap_err()),
        format!("{0:?} {0}", Signature::parse(&open).unwrap_err()),
        format!("{0:?}", Passphrase::new(b"battery\nstaple").unwrap_err()),
    ];
    for text in shown {
        for secret in ["correct", "battery", "staple", &body[80..100], "[1, 2, 3", "01020304"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn everything_printed_reads_back_the_same(
        random in any::<[[u8; 20]; 2]>(), content in any::<Vec<u8>>(), seconds in 0..=253_370_764_799_i64,
        kind in prop::sample::select(Kind::ALL.to_vec()), origin in prop::option::of("[!-~&&[^+\"'\\\\-]][!-~&&[^+\"'\\\\]]{0,60}"),
        chaff in "\\PC{0,40}",
    ) {
        let key = SecretKey::generate(random.concat().try_into().unwrap());
        let public = key.public();
        prop_assert_eq!(&PublicKey::parse(&public.to_file()).unwrap(), public);
        prop_assert_eq!(&PublicKey::parse(&public.to_line()).unwrap(), public);
        prop_assert_eq!(public.id().to_string().parse::<vellum::ids::KeyId>().unwrap(), public.id());
        let open = key.seal(None, [0; 32]);
        let opened = SecretKey::open(open.as_bytes(), None).unwrap();
        prop_assert_eq!(opened.public(), public);

        let time = Timestamp::from_second(seconds).unwrap();
        let made = Comment::new(kind, origin.as_deref(), Digest::of(&content), time).unwrap();
        prop_assert_eq!(&made.to_string().parse::<Comment>().unwrap(), &made);
        prop_assert!(made.agrees_with(kind, origin.as_deref(), &Digest::of(&content)).is_ok());
        let signature = Signature::sign(&key, &content, &made).unwrap();
        let text = signature.to_string();
        prop_assert_eq!(&Signature::decode(text.as_bytes()).unwrap(), &signature);
        prop_assert!(signature.verify(public, &content).is_ok());
        prop_assert_eq!(signature.comment().unwrap(), made);

        let foreign = text.replace("from vellum", &chaff);
        if let Ok(read) = Signature::parse(&foreign) {
            prop_assert_eq!(read.to_string(), foreign);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(bytes in any::<Vec<u8>>(), text in "\\PC{0,200}") {
        let _ = Signature::decode(&bytes);
        let _ = SecretKey::open(&bytes, None);
        let _ = PublicKey::parse(&text);
        let _ = text.parse::<Comment>();
        let _ = PublicKey::parse(&format!("ssh-ed25519 {text}"));
    }
}
