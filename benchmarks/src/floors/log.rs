//! The least journal: records one after another in a file, and one fsync for all that came while the last one ran.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// Records that share one fsync at most, as the broker's `store.batch`.
const BATCH: usize = 256;
/// A record of the log alone: a message with what surrounds it, as the broker keeps it.
const RECORD: [u8; 1024] = [b'x'; 1024];

type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// Appends from any task; waited for without a thread of its own.
#[derive(Clone)]
pub struct Log(Sender<Waiting>);

impl Log {
    pub fn open(path: &Path, fsync: bool) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            if let Err(error) = commit_all(file, fsync, &receiver) {
                eprintln!("the log: {error:#}");
                std::process::exit(1);
            }
        });
        Ok(Self(sender))
    }

    /// Ends when the record is durable (or, without fsync, written).
    pub async fn append(&self, record: Vec<u8>) -> Result<()> {
        let (done, waiting) = oneshot::channel();
        self.0.send((record, done)).ok().context("the log has ended")?;
        waiting.await.context("the log has ended")
    }
}

fn commit_all(mut file: File, fsync: bool, receiver: &Receiver<Waiting>) -> Result<()> {
    let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
    while let Ok(first) = receiver.recv() {
        bytes.clear();
        for (record, done) in std::iter::once(first).chain(receiver.try_iter()).take(BATCH) {
            bytes.extend_from_slice(&u32::try_from(record.len())?.to_le_bytes());
            bytes.extend_from_slice(&record);
            waiting.push(done);
        }
        file.write_all(&bytes)?;
        if fsync {
            file.sync_data()?;
        }
        for done in waiting.drain(..) {
            // Whoever gave up waiting need not be told.
            let _ = done.send(());
        }
    }
    Ok(())
}

/// Prints how many records a second so many writers get done.
pub fn measure(folder: &Path, writers: usize, seconds: f64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (log, time) = (Log::open(&folder.join("log"), true)?, Duration::from_secs_f64(seconds));
    let began = Instant::now();
    let records: u64 = runtime.block_on(async {
        let writing = (0..writers).map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut records = 0;
                while began.elapsed() < time {
                    log.append(RECORD.to_vec()).await?;
                    records += 1;
                }
                anyhow::Ok(records)
            })
        });
        let mut all = 0;
        for writer in writing.collect::<Vec<_>>() {
            all += writer.await??;
        }
        anyhow::Ok(all)
    })?;
    println!("{:.0}", records as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// How long it takes to read so many records back, each whole.
pub fn scan_time(path: &Path, records: u64) -> Result<Duration> {
    let mut writing = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for _ in 0..records {
        writing.write_all(&u32::try_from(RECORD.len())?.to_le_bytes())?;
        writing.write_all(&RECORD)?;
    }
    writing.into_inner()?.sync_data()?;
    let began = Instant::now();
    let mut reading = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut length, mut record, mut read) = ([0; 4], Vec::new(), 0);
    while reading.read_exact(&mut length).is_ok() {
        record.resize(u32::from_le_bytes(length) as usize, 0);
        reading.read_exact(&mut record)?;
        std::hint::black_box(&record);
        read += 1;
    }
    anyhow::ensure!(read == records, "{read} of {records} records were read back");
    let taken = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_appended_is_in_the_file_when_the_writer_hears_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::open(&path, true).unwrap();
        let all = (0..100_u8).map(|number| {
            let (log, path) = (log.clone(), path.clone());
            tokio::spawn(async move {
                log.append(vec![number; 10]).await.unwrap();
                let bytes = std::fs::read(path).unwrap();
                assert!(bytes.chunks(14).any(|record| record[4..] == [number; 10]), "{number} is not there");
            })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap().len(), 1400);
    }
}
