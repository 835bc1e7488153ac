//! The formats of a bundle, one file each; their normative text is FORMAT.md.
#![doc = include_str!("FORMAT.md")]

pub mod article;
pub mod bagit;
pub mod bundle;
pub mod checkpoint;
pub mod checksums;
pub mod fork;
pub mod frame;
pub mod framing;
pub mod index;
pub mod layout;
pub mod leaf;
pub mod manifest;
pub mod order;
pub mod proof;
pub mod seekable;
pub mod signatures;
pub mod tar;
pub mod tile;
pub mod times;
pub mod tree;
pub mod was;
pub mod withdrawal;
