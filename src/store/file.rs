//! Files on disk as the bytes of a bundle.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::format::bundle::Source;

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }
}
