//! vellum packs articles with TOML metadata into signed, compressed, content-addressed bundles, and checks and reads them later.
//!
//! A tour in floor order, from the ground; arrows point downward only:
//!
//! - *words*: [`digest`], [`path`], [`ids`], [`merkle`], [`finding`], [`watch`], [`mod@run`], [`pipeline`]
//! - *formats*: [`mod@format`] says what every byte of a bundle means, [`keys`] what a key and a signature are; neither knows the other
//! - *seams*: [`store`] is where an archive lies, [`trust`] judges signatures by the keys that a person trusts
//! - *archive*: [`archive`] holds bundles in a log, and a catalog of them
//! - *works*: [`folder`] packs folders and writes them out again, [`collection`] does so with whole archives;
//!   [`mirror`] keeps copies of archives that need not be believed
//! - *faces*: [`cli`], the command line
//!
//! Without default features the crate is words, formats, keys and the judge of signatures, for whoever only reads: a browser, say.
//!
//! The library never prints and never reads the clock, the environment or a user's configuration: time, randomness and
//! progress come in as arguments.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used))]

pub mod digest;
pub mod finding;
pub mod ids;
pub mod merkle;
pub mod path;
pub mod pipeline;
pub mod run;
pub mod watch;

pub mod format;
pub mod keys;

#[cfg(feature = "archive")]
pub mod store;
pub mod trust;

#[cfg(feature = "archive")]
pub mod archive;

#[cfg(feature = "archive")]
pub mod folder;

#[cfg(feature = "catalog")]
pub mod collection;

#[cfg(feature = "archive")]
pub mod mirror;

#[cfg(feature = "cli")]
pub mod cli;
