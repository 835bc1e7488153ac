//! Keys that an ssh-agent holds (RFC 9987): an agent makes plain ed25519 signatures, and so minisign's.
//!
//! ```text
//! 00 00 00 01 0b                       request: list identities
//! 00 00 00 .. 0c 00 00 00 01 <key blob> <comment>
//! ```
//! Only `ssh-ed25519` keys are seen: hardware-backed kinds sign other bytes than they are given. A reply is capped before
//! it is read, and a signature is verified before it is returned. The socket's path comes in as an argument.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Error, PublicKey, SIGNATURE_BYTES, Signer, ssh};

/// Longest message to or from an agent, in bytes after its length.
pub const MAX_MESSAGE_BYTES: u32 = 256 * 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// A connection to an ssh-agent.
#[derive(Debug)]
pub struct Agent(UnixStream);

impl Agent {
    /// Connects to the agent that listens at `socket`.
    ///
    /// # Errors
    /// [`Error::AgentConnection`].
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        UnixStream::connect(socket).map(Self).map_err(Error::AgentConnection)
    }

    /// Returns the `ssh-ed25519` keys that the agent holds, each with its comment, in the agent's order.
    ///
    /// The comment is whatever the agent says: clean it before it meets a terminal.
    ///
    /// # Errors
    /// Anything outside the protocol, and a weak ed25519 key.
    pub fn identities(&mut self) -> Result<Vec<(PublicKey, String)>, Error> {
        let reply = self.ask("list its keys", IDENTITIES_ANSWER, &[REQUEST_IDENTITIES])?;
        let malformed = || Error::AgentProtocol { rule: "expected a list of keys" };
        let (count, mut rest) = reply.split_first_chunk::<4>().ok_or_else(malformed)?;
        let mut found = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let blob = ssh::take_string(&mut rest).ok_or_else(malformed)?;
            let comment = ssh::take_string(&mut rest).ok_or_else(malformed)?;
            let kind = ssh::take_string(&mut &*blob).ok_or_else(malformed)?;
            if kind == ssh::KEY_TYPE.as_bytes() {
                found.push((ssh::public_key(blob)?, String::from_utf8_lossy(comment).into_owned()));
            }
        }
        if rest.is_empty() { Ok(found) } else { Err(malformed()) }
    }

    /// Returns the signer for `key`, one of the [`Agent::identities`].
    pub fn into_key(self, key: PublicKey) -> AgentKey {
        AgentKey { agent: Mutex::new(self), public: key }
    }

    /// Sends one request and returns the reply, without its type. Waits as long as the agent does: it may be asking a
    /// person to confirm.
    fn ask(&mut self, what: &'static str, expected: u8, request: &[u8]) -> Result<Vec<u8>, Error> {
        if request.len() > MAX_MESSAGE_BYTES as usize {
            return Err(Error::AgentProtocol { rule: "expected a request of at most 256 KiB" });
        }
        let mut frame = Vec::with_capacity(4 + request.len());
        ssh::put_string(&mut frame, request);
        self.0.write_all(&frame).map_err(Error::AgentConnection)?;

        let mut length = [0; 4];
        self.0.read_exact(&mut length).map_err(Error::AgentConnection)?;
        let length = u32::from_be_bytes(length);
        if !(1..=MAX_MESSAGE_BYTES).contains(&length) {
            return Err(Error::AgentProtocol { rule: "expected a reply of 1 byte to 256 KiB" });
        }
        let mut kind = [0; 1];
        self.0.read_exact(&mut kind).map_err(Error::AgentConnection)?;
        let mut body = vec![0; length as usize - 1];
        self.0.read_exact(&mut body).map_err(Error::AgentConnection)?;
        match kind {
            [found] if found == expected => Ok(body),
            [FAILURE] => Err(Error::AgentRefused { request: what }),
            _ => Err(Error::AgentProtocol { rule: "expected a reply of the kind asked for" }),
        }
    }
}

/// A key that an ssh-agent holds.
pub struct AgentKey {
    agent: Mutex<Agent>,
    public: PublicKey,
}

impl Signer for AgentKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Error> {
        let mut request = vec![SIGN_REQUEST];
        ssh::put_string(&mut request, &ssh::blob(&self.public));
        ssh::put_string(&mut request, message);
        request.extend_from_slice(&0u32.to_be_bytes());

        let reply = self.agent.lock().unwrap_or_else(PoisonError::into_inner).ask("sign", SIGN_RESPONSE, &request)?;
        let malformed = || Error::AgentProtocol { rule: "expected an ssh-ed25519 signature" };
        let mut rest = reply.as_slice();
        let blob = ssh::take_string(&mut rest).filter(|_| rest.is_empty()).ok_or_else(malformed)?;
        let signature = ssh::ed25519_body(blob).ok_or_else(malformed)?;
        self.public.verify_raw(message, &signature).map_err(|_| Error::AgentSignature { id: self.public.id() })?;
        Ok(signature)
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({})", self.public.id())
    }
}
