//! `bailiwick backup` and `bailiwick restore`.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt};
use tokio_stream::wrappers::ReceiverStream;

use super::client::BrokerClient;
use crate::app;

/// Pieces of a backup that wait for the disk.
const WAITING: usize = 4;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; it must not be there yet.
    file: PathBuf,
    /// Read the data directory of a broker that does not run, instead of asking one that does.
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// A backup.
    file: PathBuf,
    /// The data directory to make a store in that has none.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
}

/// Writes a backup to a file, which has its name once all of it is there.
pub(super) async fn backup(broker: &BrokerClient, wanted: Backup) -> Result<(), String> {
    let Backup { file, data } = wanted;
    if file.exists() {
        return Err(format!("{} is there already; name another file", file.display()));
    }
    let bytes = match data {
        None => save(broker.backup().await?, &file).await?,
        Some(data) => {
            let store = app::open_store(&data)?;
            let (to, pieces) = tokio::sync::mpsc::channel(WAITING);
            let writing = tokio::spawn(async move { store.backup(to).await });
            let pieces =
                ReceiverStream::new(pieces).map(|piece| piece.map_err(|failure| failure.to_string()));
            let saved = save(pieces, &file).await;
            writing.await.map_err(|broken| broken.to_string())?.map_err(|failure| failure.to_string())?;
            saved?
        }
    };
    println!("{}: {bytes} bytes; keep it as you keep keys, it holds those that sign grants", file.display());
    Ok(())
}

async fn save(pieces: impl Stream<Item = Result<Bytes, String>>, file: &Path) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable by its owner alone, and gone if this ends early.
    let mut unfinished = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let (mut bytes, mut pieces) = (0, std::pin::pin!(pieces));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        unfinished.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    unfinished.as_file().sync_all().map_err(failed)?;
    app::check_backup(File::open(unfinished.path()).map_err(failed)?)
        .map_err(|problem| format!("the backup did not arrive whole: {problem}"))?;
    unfinished.persist_noclobber(file).map_err(|error| failed(error.error))?;
    Ok(bytes)
}

/// Makes a store from a backup.
pub(super) fn restore(wanted: &Restore) -> Result<(), String> {
    let Restore { file, data } = wanted;
    let from = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let entries = app::restore_store(BufReader::new(from), data)
        .map_err(|problem| format!("{}: {problem}", file.display()))?;
    println!("{} entries restored; start the broker with --data {}", entries, data.display());
    Ok(())
}
