//! Requests over HTTP and HTTPS: what a server answers, with a limit in time on each step. Redirects are not followed.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{self, HeaderMap};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body, SendBody};

use super::remote::{Asked, Method};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the request to the first byte of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("vellum/", env!("CARGO_PKG_VERSION"));

/// Who asks; connections are kept for the next request.
#[derive(Clone)]
pub(super) struct Http {
    agent: Agent,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Box<dyn Read + Send>,
}

impl Http {
    /// Makes one that bears a silence of `patience` within an answer.
    pub(super) fn new(patience: Duration) -> io::Result<Self> {
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
        Ok(Self { agent: config.new_agent() })
    }

    /// Asks, and returns the answer whatever its status; its body has not been read yet.
    pub(super) fn ask(&self, asked: Asked<'_>) -> io::Result<Answer> {
        let method = match asked.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
            Method::Post => http::Method::POST,
        };
        let mut request = http::Request::builder().method(method).uri(asked.url);
        for (name, value) in asked.headers {
            request = request.header(*name, *value);
        }
        let within = asked.within;
        let answer = match asked.body {
            None => self.run(request.body(()), within),
            Some(mut bytes) => self.run(request.body(SendBody::from_reader(&mut bytes)), within),
        }?;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: Box::new(body.into_reader()) })
    }

    fn run<B: AsSendBody>(
        &self,
        request: http::Result<http::Request<B>>,
        within: Option<Duration>,
    ) -> io::Result<http::Response<Body>> {
        let request = request.map_err(io::Error::other)?;
        self.agent.run(self.agent.configure_request(request).timeout_global(within).build()).map_err(io_error)
    }
}

impl Answer {
    /// Returns a header of the answer; its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
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
