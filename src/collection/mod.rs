//! Works on an archive.
