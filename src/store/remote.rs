//! An archive behind a web server or in a bucket: plain GET, with ranges; in a bucket PUT and DELETE too.
//!
//! Every answer has a cap that is known beforehand, every read a limit in time. Redirects are refused: an archive is where a person says it is.
//! What arrives is not believed; that is for the reader, who knows digests and keys.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use crate::run::{Clock, Still};

#[cfg(feature = "s3")]
use super::bucket::Bucket;
#[cfg(feature = "http")]
use super::http::{Answer, Http};
#[cfg(not(feature = "s3"))]
use super::offline::Bucket;
#[cfg(not(feature = "http"))]
use super::offline::{Answer, Http};
use super::{Error, Failed};

/// The longest silence within an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than one silence a small file may take as a whole.
const WHOLE_FACTOR: u32 = 10;
/// How much longer than one silence the answer to what was posted may take as a whole.
const POST_FACTOR: u32 = 2;
/// The longest that a server may have us wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How often a small file is asked for, and the wait after the first time.
const MAX_TRIALS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);

// Statuses of HTTP. (RFC 9110 §15, RFC 6585 §4)
const PARTIAL_CONTENT: u16 = 206;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const GONE: u16 = 410;
const PRECONDITION_FAILED: u16 = 412;
const TOO_MANY_REQUESTS: u16 = 429;

/// Where a remote archive lies.
#[derive(Clone)]
pub struct Remote {
    http: Http,
    /// As a person writes it, without a slash at its end.
    name: String,
    patience: Duration,
    place: Place,
    clock: &'static dyn Clock,
}

#[derive(Clone)]
enum Place {
    Web,
    Bucket(Box<Bucket>),
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Delete,
    Post,
}

/// What a server answered to something that was posted to it.
#[derive(Debug)]
pub struct Posted {
    /// The status of HTTP.
    pub status: u16,
    /// The type of the body, as the server names it.
    pub kind: Option<String>,
    /// How long the server wants to be left alone before it is asked again.
    pub retry_after: Duration,
    /// The body.
    pub body: Vec<u8>,
}

/// A request.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "nobody is asked"))]
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a mut dyn Read>,
    /// The time that the whole answer may take.
    pub(super) within: Option<Duration>,
}

/// How to reach a remote place; what the environment says comes in through here.
#[derive(Clone)]
pub struct Access {
    /// How long a silence within an answer may be; 30 s where it is not given.
    pub patience: Option<Duration>,
    /// The server of a bucket, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` where it is not given.
    pub region: Option<String>,
    /// Key, secret and session token; without them, nothing is signed.
    pub credentials: Option<(String, String, Option<String>)>,
    /// By which clock a trial that broke off is waited after.
    pub clock: &'static dyn Clock,
}

impl Default for Access {
    fn default() -> Self {
        Self { patience: None, endpoint: None, region: None, credentials: None, clock: &Still }
    }
}

/// What must hold for an object to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Nothing is asked.
    Always,
    /// Nothing is there yet.
    Absent,
    /// What is there has this tag.
    Unchanged(&'a str),
}

/// A part of a file, as it arrives.
pub struct Arriving {
    /// The bytes.
    pub bytes: Box<dyn Read + Send>,
    /// Where they begin in the file.
    pub from: u64,
    /// What names this version of the file for its server.
    pub tag: Option<String>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.name)
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arriving(from {}, {:?})", self.from, self.tag)
    }
}

impl Arriving {
    /// Reads all of it, at most `limit` bytes.
    ///
    /// # Errors
    /// Where it is larger, or breaks off.
    pub fn read(self, place: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.bytes
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| Error::new(place, "read", source))?;
        if bytes.len() as u64 <= limit {
            return Ok(bytes);
        }
        let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"));
        Err(Error::new(place, "read", source))
    }
}

impl Remote {
    /// Says whether a text names a remote place.
    pub fn is_url(text: &str) -> bool {
        ["http://", "https://", "s3://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Names a remote place: `https://…`, `http://…`, or `s3://BUCKET/PREFIX`.
    ///
    /// # Errors
    /// Where it is no such URL.
    pub fn new(url: &str, access: &Access) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(url, "read", io::Error::new(io::ErrorKind::InvalidInput, why));
        let name = url.trim_end_matches('/').to_owned();
        if name.contains(['?', '#', ' ']) || name.contains(char::is_control) {
            return Err(malformed("is no plain URL"));
        }
        let failed = |source| Error::new(url, "read", source);
        let place = if let Some(named) = name.strip_prefix("s3://") {
            Place::Bucket(Box::new(Bucket::new(named, access).map_err(failed)?))
        } else if name.starts_with("http://") || name.starts_with("https://") {
            Place::Web
        } else {
            return Err(malformed("is no URL of http, https or s3"));
        };
        let patience = access.patience.unwrap_or(SILENCE_TIMEOUT);
        Ok(Self { http: Http::new(patience).map_err(failed)?, name, patience, place, clock: access.clock })
    }

    /// Returns the URL, as a person writes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says whether objects can be written.
    pub fn is_bucket(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// Reads a small file of at most `limit` bytes, all of which must come within a limit of time; a broken connection is tried again.
    ///
    /// # Errors
    /// As with [`Remote::get`] and [`Arriving::read`].
    pub fn read(&self, place: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let once = || {
            let answer = self.get_answer(place, &[], Some(self.patience * WHOLE_FACTOR))?;
            Arriving { bytes: answer.body, from: 0, tag: None }.read(place, limit)
        };
        for trial in 1..MAX_TRIALS {
            match once() {
                Err(error) if error.failed == Failed::Broken && error.source.kind() != io::ErrorKind::TimedOut => {
                    self.clock.sleep(PAUSE * trial);
                }
                other => return other,
            }
        }
        once()
    }

    /// Opens a file from a byte on; what `tag` names, or from its beginning.
    ///
    /// # Errors
    /// Where it is not there, the server refuses, redirects, or answers with another range than was asked for.
    pub fn get(&self, place: &str, from: u64, tag: Option<&str>) -> Result<Arriving, Error> {
        let range = format!("bytes={from}-");
        let mut headers = Vec::new();
        if from > 0 {
            headers.push(("range", range.as_str()));
            headers.extend(tag.map(|tag| ("if-range", tag)));
        }
        let answer = self.get_answer(place, &headers, None)?;
        let begins = match answer.status {
            PARTIAL_CONTENT => self.range(place, &answer, from)?,
            _ => 0,
        };
        let tag = answer.header("etag").filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
        Ok(Arriving { bytes: answer.body, from: begins, tag })
    }

    /// Fills `out` from the bytes at `offset`.
    ///
    /// # Errors
    /// As with [`Remote::get`]; where the server does not serve ranges.
    pub fn read_at(&self, place: &str, out: &mut [u8], offset: u64) -> Result<(), Error> {
        if out.is_empty() {
            return Ok(());
        }
        let range = format!("bytes={offset}-{}", offset + out.len() as u64 - 1);
        let mut answer = self.get_answer(place, &[("range", &range)], Some(self.patience * WHOLE_FACTOR))?;
        if answer.status != PARTIAL_CONTENT {
            let why = "the server does not serve ranges; `vellum sync` makes a copy to read from";
            return Err(self.failed(place, "read", io::ErrorKind::Unsupported, why));
        }
        self.range(place, &answer, offset)?;
        answer.body.read_exact(out).map_err(|source| self.error(place, "read", source))
    }

    /// Returns the size of a file.
    ///
    /// # Errors
    /// Where it is not there or the server does not say.
    pub fn size(&self, place: &str) -> Result<u64, Error> {
        let url = self.url(Method::Head, place);
        let asked = Asked { method: Method::Head, url: &url, headers: &[], body: None, within: None };
        let answer = self.ask(place, "read", asked)?;
        let size = answer.header("content-length").and_then(|size| size.parse().ok());
        size.ok_or_else(|| self.failed(place, "read", io::ErrorKind::InvalidData, "the server does not say its size"))
    }

    /// Puts an object in place, whole; returns its tag.
    ///
    /// # Errors
    /// [`super::Failed::Exists`] where the condition does not hold; where this is no bucket.
    pub fn put(
        &self,
        place: &str,
        bytes: &mut dyn Read,
        size: u64,
        on: Condition<'_>,
    ) -> Result<Option<String>, Error> {
        self.refuse_web(place, "written")?;
        let (url, length) = (self.url(Method::Put, place), size.to_string());
        let mut headers = vec![("content-length", length.as_str())];
        match on {
            Condition::Always => {}
            Condition::Absent => headers.push(("if-none-match", "*")),
            Condition::Unchanged(tag) => headers.push(("if-match", tag)),
        }
        let mut body = bytes.take(size);
        let asked = Asked { method: Method::Put, url: &url, headers: &headers, body: Some(&mut body), within: None };
        let answer = self.ask(place, "written", asked)?;
        Ok(answer.header("etag").map(str::to_owned))
    }

    /// Removes an object; what is not there is as good as removed.
    ///
    /// # Errors
    /// Where that fails; where this is no bucket.
    pub fn remove(&self, place: &str) -> Result<(), Error> {
        self.refuse_web(place, "removed")?;
        let url = self.url(Method::Delete, place);
        let asked = Asked { method: Method::Delete, url: &url, headers: &[], body: None, within: None };
        match self.ask(place, "removed", asked) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Posts a small body, and returns the answer whatever its status, of at most `limit` bytes; all of it must come within a limit of time.
    ///
    /// # Errors
    /// Where there is no answer, or it is larger.
    pub fn post(&self, place: &str, body: &[u8], limit: u64) -> Result<Posted, Error> {
        let (url, length) = (self.url(Method::Post, place), body.len().to_string());
        let headers = [("content-length", length.as_str()), ("content-type", "text/plain; charset=utf-8")];
        let (mut body, within) = (body, Some(self.patience * POST_FACTOR));
        let asked = Asked { method: Method::Post, url: &url, headers: &headers, body: Some(&mut body), within };
        let answer = self.http.ask(asked).map_err(|source| self.error(place, "posted", source))?;
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
        Ok(Posted {
            status: answer.status,
            kind: answer.header("content-type").map(str::to_owned),
            retry_after: seconds.map_or(PAUSE, Duration::from_secs).min(MAX_RETRY_AFTER),
            body: Arriving { bytes: answer.body, from: 0, tag: None }.read(place, limit)?,
        })
    }

    fn refuse_web(&self, place: &str, doing: &'static str) -> Result<(), Error> {
        if self.is_bucket() {
            return Ok(());
        }
        Err(self.failed(place, doing, io::ErrorKind::Unsupported, "a web server is only read from"))
    }

    fn get_answer(&self, place: &str, headers: &[(&str, &str)], within: Option<Duration>) -> Result<Answer, Error> {
        let url = self.url(Method::Get, place);
        let answer = self.ask(place, "read", Asked { method: Method::Get, url: &url, headers, body: None, within })?;
        if answer.header("content-encoding").is_some_and(|encoding| encoding != "identity") {
            let why = "the server encodes it; files must be served as they are";
            return Err(self.failed(place, "read", io::ErrorKind::InvalidData, why));
        }
        Ok(answer)
    }

    fn ask(&self, place: &str, doing: &'static str, asked: Asked<'_>) -> Result<Answer, Error> {
        let answer = self.http.ask(asked).map_err(|source| self.error(place, doing, source))?;
        self.check(place, doing, &answer)?;
        Ok(answer)
    }

    /// Checks that a partial answer begins where it was asked to.
    fn range(&self, place: &str, answer: &Answer, asked: u64) -> Result<u64, Error> {
        let range = answer.header("content-range").unwrap_or_default();
        let from = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        if from == Some(asked) {
            return Ok(asked);
        }
        let why = format!("expected a range from byte {asked}, found {range:?}");
        Err(self.failed(place, "read", io::ErrorKind::InvalidData, why))
    }

    fn check(&self, place: &str, doing: &'static str, answer: &Answer) -> Result<(), Error> {
        let status = answer.status;
        let kind = match status {
            200..300 => return Ok(()),
            300..400 => {
                let to: String = answer.header("location").unwrap_or("nowhere").chars().take(200).collect();
                let why = format!("the server redirects to {to:?}; redirects are refused, name the place itself");
                return Err(self.failed(place, doing, io::ErrorKind::Other, why));
            }
            NOT_FOUND | GONE => io::ErrorKind::NotFound,
            PRECONDITION_FAILED | CONFLICT => io::ErrorKind::AlreadyExists,
            500..600 | TOO_MANY_REQUESTS => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        };
        Err(self.failed(place, doing, kind, format!("the server answers {status}")))
    }

    fn url(&self, method: Method, place: &str) -> String {
        match &self.place {
            Place::Web => format!("{}/{}", self.name, escaped(place)),
            Place::Bucket(bucket) => bucket.url(method, place),
        }
    }

    fn failed(&self, place: &str, doing: &'static str, kind: io::ErrorKind, why: impl Into<String>) -> Error {
        self.error(place, doing, io::Error::new(kind, why.into()))
    }

    fn error(&self, place: &str, doing: &'static str, source: io::Error) -> Error {
        Error::new(&format!("{}/{place}", self.name), doing, source)
    }
}

/// Writes a path for a URL; those of an archive are ASCII, so that little is ever escaped.
fn escaped(place: &str) -> String {
    let mut out = String::with_capacity(place.len());
    for byte in place.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(all(test, feature = "s3"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_of_three_schemes_and_plain() {
        let remote = |url: &str| Remote::new(url, &Access::default());
        for good in ["http://127.0.0.1:80/a", "https://example.org/library/", "s3://bucket/some/prefix", "s3://bucket"]
        {
            assert!(Remote::is_url(good) && remote(good).is_ok(), "{good}");
        }
        for bad in ["ftp://example.org", "https://example.org/?a", "https://example.org/#a", "s3://", "/a"] {
            assert!(remote(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_escaped_but_for_what_needs_no_escape() {
        assert_eq!(escaped("bundles/ab/x-1.tar.zst"), "bundles/ab/x-1.tar.zst");
        assert_eq!(escaped("a b/%é"), "a%20b/%25%C3%A9");
    }
}
