//! A backup as a file: every entry of every table as it was at one moment, and at the end how many there were and a digest of
//! all of it, so that what was cut short or changed is never restored. Pure: bytes in, bytes out.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// What a backup begins with, its version among it.
const MAGIC: &[u8] = b"BAILIWICK BACKUP 1\n";
/// Longest key or value that is read, bytes: more than any request or answer can bring.
const MAX_LENGTH: u32 = 1 << 30;

/// Writes an archive.
pub(super) struct Writer {
    digest: Sha256,
    entries: u64,
    waiting: Vec<u8>,
}

/// An entry: the table, its key, its value.
pub(super) type Entry = (String, Vec<u8>, Vec<u8>);

/// Why a file is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BadArchive {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else, or of a later version.
    #[error("it is not a backup this version reads: expected it to begin with \"BAILIWICK BACKUP 1\"")]
    Foreign,
    /// It is incomplete, or not what was written.
    #[error("it is damaged: {0}; nothing was restored")]
    Damaged(&'static str),
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut new = Self { digest: Sha256::new(), entries: 0, waiting: Vec::new() };
        new.write(&[MAGIC]);
        new
    }

    pub(super) fn entry(&mut self, table: &str, key: &[u8], value: &[u8]) {
        let name = u8::try_from(table.len()).unwrap_or(u8::MAX);
        self.entries += 1;
        self.write(&[&[name], table.as_bytes(), &length(key), key, &length(value), value]);
    }

    /// How much waits to be taken, bytes.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes what waits.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// The end of it, with what waits.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.write(&[&[0], &self.entries.to_be_bytes()]);
        let digest = self.digest.finalize();
        self.waiting.extend_from_slice(&digest);
        self.waiting
    }

    fn write(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.digest.update(piece);
            self.waiting.extend_from_slice(piece);
        }
    }
}

/// Reads all of a backup; how many entries it has.
pub(crate) fn check(from: impl Read) -> Result<u64, BadArchive> {
    let mut reader = Reader::new(from)?;
    while reader.next()?.is_some() {}
    Ok(reader.entries)
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads an archive: the entries in order, then nothing if it is whole.
pub(super) struct Reader<R> {
    from: R,
    digest: Sha256,
    entries: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(from: R) -> Result<Self, BadArchive> {
        let mut new = Self { from, digest: Sha256::new(), entries: 0 };
        let mut magic = vec![0; MAGIC.len()];
        new.fill(&mut magic).map_err(|_| BadArchive::Foreign)?;
        if magic == MAGIC { Ok(new) } else { Err(BadArchive::Foreign) }
    }

    /// The next entry; `None` at a good end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, BadArchive> {
        let mut name = [0];
        self.fill(&mut name)?;
        let [name] = name;
        if name == 0 {
            return self.judge().map(|()| None);
        }
        let mut table = vec![0; usize::from(name)];
        self.fill(&mut table)?;
        let table = String::from_utf8(table).map_err(|_| BadArchive::Damaged("a table's name is no text"))?;
        let (key, value) = (self.sized()?, self.sized()?);
        self.entries += 1;
        Ok(Some((table, key, value)))
    }

    fn sized(&mut self) -> Result<Vec<u8>, BadArchive> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_LENGTH {
            return Err(BadArchive::Damaged("an entry is longer than any that is written"));
        }
        // What a damaged length promises is not made room for before it is there.
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length.into()).read_to_end(&mut bytes)?;
        if read < length as usize {
            return Err(BadArchive::Damaged("it ends in the middle"));
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn judge(&mut self) -> Result<(), BadArchive> {
        let mut entries = [0; 8];
        self.fill(&mut entries)?;
        let expected = std::mem::take(&mut self.digest).finalize();
        let mut digest = [0; 32];
        self.fill(&mut digest)?;
        if u64::from_be_bytes(entries) != self.entries || digest[..] != expected[..] {
            return Err(BadArchive::Damaged("its digest is another"));
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(BadArchive::Damaged("there is more behind its end")),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BadArchive> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BadArchive::Damaged("it ends in the middle"),
            _ => BadArchive::Io(error),
        })?;
        self.digest.update(&*bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut writer = Writer::new();
        for (table, key, value) in entries {
            writer.entry(table, key, value);
        }
        writer.end()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, BadArchive> {
        let (mut reader, mut entries) = (Reader::new(bytes)?, Vec::new());
        while let Some(entry) = reader.next()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        prop::collection::vec(("[a-z]{1,9}", any::<Vec<u8>>(), any::<Vec<u8>>()), 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(entries in entries()) {
            prop_assert_eq!(read(&written(&entries)).unwrap(), entries);
        }

        #[test]
        fn no_byte_can_be_changed_cut_off_or_added(entries in entries(), at: prop::sample::Index, to: u8) {
            let good = written(&entries);
            let at = at.index(good.len());
            let mut changed = good.clone();
            changed[at] = to;
            prop_assert!(changed == good || read(&changed).is_err());
            prop_assert!(read(&good[..at]).is_err());
            prop_assert!(read(&[&good[..], &[to]].concat()).is_err());
        }

        #[test]
        fn nothing_that_is_read_panics(bytes: Vec<u8>) {
            let _ = read(&[MAGIC, &bytes].concat());
        }
    }
}
