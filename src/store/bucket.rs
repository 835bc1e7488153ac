//! Buckets of the S3 protocol: where an object lies, as a URL that is signed for one request.

use std::io;
use std::time::Duration;

use rusty_s3::actions::{DeleteObject, GetObject, HeadObject, PutObject, S3Action};
use rusty_s3::{Bucket as Server, Credentials, UrlStyle};

use super::remote::{Access, Method};

/// How long a signed request is good for.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(900);
const DEFAULT_REGION: &str = "us-east-1";

/// A folder in a bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    server: Server,
    prefix: String,
    credentials: Option<Credentials>,
}

impl Bucket {
    /// Names `BUCKET/PREFIX` on the server that `access` tells.
    pub(super) fn new(named: &str, access: &Access) -> io::Result<Self> {
        let malformed = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let (bucket, prefix) = named.split_once('/').unwrap_or((named, ""));
        let region = access.region.clone().unwrap_or_else(|| DEFAULT_REGION.into());
        let (endpoint, style) = match &access.endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint = endpoint.parse().map_err(|_| malformed("the server of the bucket is no URL".into()))?;
        let server = Server::new(endpoint, style, bucket.to_owned(), region);
        let credentials = access.credentials.clone().map(|(key, secret, token)| match token {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        });
        let server = server.map_err(|error| malformed(error.to_string()))?;
        Ok(Self { server, prefix: prefix.to_owned(), credentials })
    }

    /// Returns the URL for one request; nothing is posted to a bucket.
    pub(super) fn url(&self, method: Method, place: &str) -> String {
        let key = if self.prefix.is_empty() { place.to_owned() } else { format!("{}/{place}", self.prefix) };
        let (server, credentials) = (&self.server, self.credentials.as_ref());
        let url = match method {
            Method::Get | Method::Post => GetObject::new(server, credentials, &key).sign(SIGNATURE_LIFETIME),
            Method::Head => HeadObject::new(server, credentials, &key).sign(SIGNATURE_LIFETIME),
            Method::Put => PutObject::new(server, credentials, &key).sign(SIGNATURE_LIFETIME),
            Method::Delete => DeleteObject::new(server, credentials, &key).sign(SIGNATURE_LIFETIME),
        };
        url.into()
    }
}
