//! An archive behind a web server or in a bucket: plain GET, with ranges; in a bucket PUT and DELETE too.
//!
//! Every answer has a cap that is known beforehand, every read a limit in time. Redirects are refused: an archive is where a person says it is.
//! What arrives is not believed; that is for the reader, who knows digests and keys.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use rusty_s3::actions::{DeleteObject, GetObject, HeadObject, PutObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::run::{Clock, Still};

use super::{Error, Failed};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the request to the first byte of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest silence within an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than one silence a small file may take as a whole.
const WHOLE_FACTOR: u32 = 10;
/// How often a small file is asked for, and the wait after the first time.
const MAX_TRIALS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a signed request to a bucket is good for.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(900);
const USER_AGENT: &str = concat!("vellum/", env!("CARGO_PKG_VERSION"));

/// Where a remote archive lies.
#[derive(Clone)]
pub struct Remote {
    agent: Agent,
    /// As a person writes it, without a slash at its end.
    name: String,
    patience: Duration,
    place: Place,
    clock: &'static dyn Clock,
}

#[derive(Clone)]
enum Place {
    Web,
    Bucket(Box<BucketPlace>),
}

#[derive(Clone)]
struct BucketPlace {
    bucket: Bucket,
    prefix: String,
    credentials: Option<Credentials>,
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
        let place = if let Some(rest) = name.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let region = access.region.clone().unwrap_or_else(|| "us-east-1".into());
            let (endpoint, style) = match &access.endpoint {
                Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
                None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
            };
            let endpoint = endpoint.parse().map_err(|_| malformed("the server of the bucket is no URL"))?;
            let bucket = Bucket::new(endpoint, style, bucket.to_owned(), region).map_err(|error| {
                Error::new(url, "read", io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
            })?;
            let credentials = access.credentials.clone().map(|(key, secret, token)| match token {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            });
            Place::Bucket(Box::new(BucketPlace { bucket, prefix: prefix.to_owned(), credentials }))
        } else if name.starts_with("http://") || name.starts_with("https://") {
            Place::Web
        } else {
            return Err(malformed("is no URL of http, https or s3"));
        };
        let patience = access.patience.unwrap_or(SILENCE_TIMEOUT);
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            .user_agent(USER_AGENT)
            .tls_config(tls)
            .build();
        Ok(Self { agent: config.new_agent(), name, patience, place, clock: access.clock })
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
            let answer = self.ask(place, None, None, Some(self.patience * WHOLE_FACTOR))?;
            Arriving { bytes: Box::new(answer.into_body().into_reader()), from: 0, tag: None }.read(place, limit)
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
        let ranged = (from > 0).then(|| format!("bytes={from}-"));
        let answer = self.ask(place, ranged.as_deref(), tag.filter(|_| from > 0), None)?;
        let begins = match answer.status() {
            StatusCode::PARTIAL_CONTENT => Some(self.range(place, answer.headers(), from)?),
            _ => None,
        };
        let tag = header(answer.headers(), "etag").filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
        Ok(Arriving { bytes: Box::new(answer.into_body().into_reader()), from: begins.unwrap_or(0), tag })
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
        let answer = self.ask(place, Some(&range), None, Some(self.patience * WHOLE_FACTOR))?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            let why = "the server does not serve ranges; `vellum sync` makes a copy to read from";
            return Err(self.failed(place, "read", io::ErrorKind::Unsupported, why));
        }
        self.range(place, answer.headers(), offset)?;
        answer.into_body().into_reader().read_exact(out).map_err(|source| self.error(place, "read", source))
    }

    /// Returns the size of a file.
    ///
    /// # Errors
    /// Where it is not there or the server does not say.
    pub fn size(&self, place: &str) -> Result<u64, Error> {
        let url = self.url(place, true);
        let answer = self.agent.head(&url).call().map_err(|error| self.error(place, "read", io_error(error)))?;
        self.check(place, "read", &answer)?;
        let size = header(answer.headers(), "content-length").and_then(|size| size.parse().ok());
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
        let Place::Bucket(at) = &self.place else {
            return Err(self.failed(place, "written", io::ErrorKind::Unsupported, "a web server is only read from"));
        };
        let key = key(&at.prefix, place);
        let action = PutObject::new(&at.bucket, at.credentials.as_ref(), &key);
        let mut request =
            self.agent.put(action.sign(SIGNATURE_LIFETIME).as_str()).header("content-length", size.to_string());
        request = match on {
            Condition::Always => request,
            Condition::Absent => request.header("if-none-match", "*"),
            Condition::Unchanged(tag) => request.header("if-match", tag),
        };
        let answer = request
            .send(ureq::SendBody::from_reader(&mut bytes.take(size)))
            .map_err(|error| self.error(place, "written", io_error(error)))?;
        self.check(place, "written", &answer)?;
        Ok(header(answer.headers(), "etag").map(str::to_owned))
    }

    /// Removes an object; what is not there is as good as removed.
    ///
    /// # Errors
    /// Where that fails; where this is no bucket.
    pub fn remove(&self, place: &str) -> Result<(), Error> {
        let Place::Bucket(at) = &self.place else {
            return Err(self.failed(place, "removed", io::ErrorKind::Unsupported, "a web server is only read from"));
        };
        let key = key(&at.prefix, place);
        let url = DeleteObject::new(&at.bucket, at.credentials.as_ref(), &key).sign(SIGNATURE_LIFETIME);
        let answer =
            self.agent.delete(url.as_str()).call().map_err(|error| self.error(place, "removed", io_error(error)))?;
        match self.check(place, "removed", &answer) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn ask(
        &self,
        place: &str,
        range: Option<&str>,
        tag: Option<&str>,
        within: Option<Duration>,
    ) -> Result<Response<Body>, Error> {
        let url = self.url(place, false);
        let mut request = self.agent.get(&url).config().timeout_global(within).build();
        if let Some(range) = range {
            request = request.header("range", range);
        }
        if let Some(tag) = tag {
            request = request.header("if-range", tag);
        }
        let answer = request.call().map_err(|error| self.error(place, "read", io_error(error)))?;
        self.check(place, "read", &answer)?;
        if header(answer.headers(), "content-encoding").is_some_and(|encoding| encoding != "identity") {
            return Err(self.failed(
                place,
                "read",
                io::ErrorKind::InvalidData,
                "the server encodes it; files must be served as they are",
            ));
        }
        Ok(answer)
    }

    /// Checks that a partial answer begins where it was asked to.
    fn range(&self, place: &str, headers: &HeaderMap, asked: u64) -> Result<u64, Error> {
        let range = header(headers, "content-range").unwrap_or_default();
        let from = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        if from == Some(asked) {
            return Ok(asked);
        }
        let why = format!("expected a range from byte {asked}, found {range:?}");
        Err(self.failed(place, "read", io::ErrorKind::InvalidData, why))
    }

    fn check(&self, place: &str, doing: &'static str, answer: &Response<Body>) -> Result<(), Error> {
        let status = answer.status();
        let kind = match status {
            _ if status.is_success() => return Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => io::ErrorKind::NotFound,
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => io::ErrorKind::AlreadyExists,
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                io::ErrorKind::ConnectionAborted
            }
            _ => io::ErrorKind::Other,
        };
        if status.is_redirection() {
            let to: String = header(answer.headers(), "location").unwrap_or("nowhere").chars().take(200).collect();
            let why = format!("the server redirects to {to:?}; redirects are refused, name the place itself");
            return Err(self.failed(place, doing, io::ErrorKind::Other, why));
        }
        Err(self.failed(place, doing, kind, format!("the server answers {status}")))
    }

    fn url(&self, place: &str, head: bool) -> String {
        match &self.place {
            Place::Web => format!("{}/{}", self.name, escaped(place)),
            Place::Bucket(at) => {
                let (key, credentials) = (key(&at.prefix, place), at.credentials.as_ref());
                let url = match head {
                    true => HeadObject::new(&at.bucket, credentials, &key).sign(SIGNATURE_LIFETIME),
                    false => GetObject::new(&at.bucket, credentials, &key).sign(SIGNATURE_LIFETIME),
                };
                url.into()
            }
        }
    }

    fn failed(&self, place: &str, doing: &'static str, kind: io::ErrorKind, why: impl Into<String>) -> Error {
        self.error(place, doing, io::Error::new(kind, why.into()))
    }

    fn error(&self, place: &str, doing: &'static str, source: io::Error) -> Error {
        Error::new(&format!("{}/{place}", self.name), doing, source)
    }
}

fn key(prefix: &str, place: &str) -> String {
    if prefix.is_empty() { place.to_owned() } else { format!("{prefix}/{place}") }
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

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn io_error(error: ureq::Error) -> io::Error {
    match error {
        ureq::Error::Io(error) => error,
        ureq::Error::Timeout(what) => io::Error::new(io::ErrorKind::TimedOut, format!("too slow: {what}")),
        ureq::Error::HostNotFound => io::Error::other("no such host"),
        ureq::Error::ConnectionFailed => io::Error::new(io::ErrorKind::ConnectionRefused, "no connection"),
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
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
