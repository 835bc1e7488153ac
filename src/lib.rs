//! vellum: signed, compressed, content-addressed bundles of articles.

pub mod digest;
pub mod finding;
pub mod keys;
pub mod path;
pub mod pipeline;
pub mod watch;
