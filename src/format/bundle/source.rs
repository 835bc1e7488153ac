//! Where a bundle's bytes come from: anything that can be read at any place.

use std::io;

/// Bytes that are read by place, from several threads at once.
pub trait Source: Sync {
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// Where the source cannot say.
    fn size(&self) -> io::Result<u64>;

    /// Fills `out` from the bytes at `offset`.
    ///
    /// # Errors
    /// Where the source fails or ends before `out` is full.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(out.len())?));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_at(out, offset)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(out, offset)
    }
}
