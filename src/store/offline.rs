//! What stands for HTTP or for buckets in a library that was built without: it cannot be made, and says why.

#![cfg_attr(feature = "http", expect(dead_code, reason = "buckets alone are missing"))]

use std::io::{self, Read};
use std::time::Duration;

use super::remote::{Access, Asked, Method};

/// Who would ask a server.
#[derive(Clone)]
pub(super) enum Http {}

/// What a server would answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<dyn Read + Send>,
    never: Http,
}

/// A folder in a bucket.
#[derive(Clone)]
pub(super) enum Bucket {}

fn without(feature: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this vellum was built without `{feature}`"))
}

impl Http {
    pub(super) fn new(_: Duration) -> io::Result<Self> {
        Err(without("http"))
    }

    pub(super) fn ask(&self, _: Asked<'_>) -> io::Result<Answer> {
        match *self {}
    }
}

impl Answer {
    pub(super) fn header(&self, _: &str) -> Option<&str> {
        match self.never {}
    }
}

impl Bucket {
    pub(super) fn new(_: &str, _: &Access) -> io::Result<Self> {
        Err(without("s3"))
    }

    pub(super) fn url(&self, _: Method, _: &str) -> String {
        match *self {}
    }
}
