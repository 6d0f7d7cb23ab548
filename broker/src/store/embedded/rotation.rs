//! When what a table has in memory goes to a file. The engine would see to it: past its own bound every write asks its threads
//! to. But they hand on what follows from it through the mailbox they read from, and that is bounded: while one of them is busy
//! with a long merge such requests fill it, and then whoever should make room waits for room for ever, and nothing goes to
//! files any more (fjall 3.1, <https://github.com/fjall-rs/fjall/pull/323>). So whoever writes sees to it, and the engine, whose
//! bound is higher, asks at most once for each time that is due.
//!
//! The same holds for tables that are seldom written. The engine keeps its own journal from the oldest entry on that is in
//! memory only, and asks for such a table late, through the same mailbox, and not at all while that is full.
//!
//! What this rests on is not in the engine's documentation; it can go when the engine is mended.

use fjall::{AbstractTree, Keyspace};

use super::{JOURNAL_BYTES, MEMTABLE_BYTES};

/// What tables have in memory, and since when; of the same tables in the same order each time, new ones last.
#[derive(Default)]
pub(super) struct Rotation {
    /// What was written to all of them, in bytes.
    written: u64,
    tables: Vec<Table>,
}

/// What is known of one table.
#[derive(Clone, Copy)]
struct Table {
    memory: Memory,
    /// What had been written to all tables when this memory began.
    since: u64,
}

/// What a table has in memory: it begins anew under another number.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Memory {
    number: u64,
    bytes: u64,
}

impl Rotation {
    /// Has each table begin anew that is full in memory, and of those that have kept the engine's journal for too long the one
    /// that has for longest; the engine's threads write what they had to files. To be called after each batch, once whoever
    /// waits for it was told: it may take a while.
    pub(super) fn rotate_due<'t>(&mut self, tables: impl IntoIterator<Item = &'t Keyspace>) {
        let (tables, memories): (Vec<&Keyspace>, Vec<Memory>) = tables
            .into_iter()
            .map(|table| {
                let memory = table.tree.active_memtable();
                (table, Memory { number: memory.id(), bytes: memory.size() })
            })
            .unzip();
        for due in self.due(&memories) {
            if let Some(table) = tables.get(due)
                && let Err(failure) = table.rotate_memtable()
            {
                tracing::error!(%failure, table = table.name().to_string(), "a table could not be put into a file");
            }
        }
    }

    /// Which tables are to begin anew, by their place.
    fn due(&mut self, memories: &[Memory]) -> Vec<usize> {
        let before = self.written;
        self.tables.resize(memories.len(), Table { memory: Memory::default(), since: before });
        for (table, memory) in self.tables.iter_mut().zip(memories) {
            if table.memory.number != memory.number {
                *table = Table { memory: Memory::default(), since: before };
            }
            self.written += memory.bytes.saturating_sub(table.memory.bytes);
            table.memory = *memory;
        }
        let mut due = Vec::new();
        let mut oldest = None;
        for (place, table) in self.tables.iter_mut().enumerate() {
            match table.memory.bytes {
                0 => table.since = self.written,
                MEMTABLE_BYTES.. => due.push(place),
                _ if self.written - table.since >= JOURNAL_BYTES => {
                    oldest = oldest.into_iter().chain([(table.since, place)]).min();
                }
                _ => {}
            }
        }
        due.extend(oldest.map(|(_, place)| place));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes to tables; those that are due begin anew.
    struct Tables {
        rotation: Rotation,
        memories: [Memory; 4],
        begun_anew: [u64; 4],
    }

    impl Tables {
        fn new(bytes: [u64; 4]) -> Self {
            let memories = bytes.map(|bytes| Memory { number: 7, bytes });
            Self { rotation: Rotation::default(), memories, begun_anew: [0; 4] }
        }

        fn write(&mut self, bytes: [u64; 4]) -> Vec<usize> {
            for (memory, bytes) in self.memories.iter_mut().zip(bytes) {
                memory.bytes += bytes;
            }
            let due = self.rotation.due(&self.memories);
            for place in &due {
                self.memories[*place] = Memory { number: self.memories[*place].number + 1, bytes: 0 };
                self.begun_anew[*place] += 1;
            }
            due
        }
    }

    const HALF: u64 = MEMTABLE_BYTES / 2;
    const ROUND: u64 = JOURNAL_BYTES / HALF;

    #[test]
    fn a_table_begins_anew_when_it_is_full_or_others_have_written_much_since_one_at_a_time() {
        let mut tables = Tables::new([0; 4]);
        assert!(tables.write([0, 10, 10, 0]).is_empty());
        for step in 1..ROUND {
            let due = tables.write([HALF, 0, 0, 0]);
            assert_eq!(due, if step % 2 == 0 { vec![0] } else { vec![] }, "{step}");
        }
        assert_eq!(tables.write([HALF, 0, 0, 0]), [0, 1], "the first of those that have waited");
        assert_eq!(tables.write([0; 4]), [2], "then the next");
        assert!(tables.write([0, 10, 10, 0]).is_empty(), "their time begins anew");
        for _ in 0..ROUND {
            tables.write([HALF, 0, 0, 0]);
        }
        tables.write([0; 4]);
        assert_eq!(tables.begun_anew, [ROUND, 2, 2, 0], "and what is never written never does");
    }

    #[test]
    fn what_was_there_before_and_what_the_engine_puts_into_files_count() {
        let mut tables = Tables::new([HALF, 10, 0, 0]);
        assert!(tables.write([0; 4]).is_empty());
        for _ in 1..ROUND {
            // The engine has it begin anew by itself.
            tables.memories[0] = Memory { number: tables.memories[0].number + 1, bytes: 0 };
            assert!(!tables.write([HALF, 0, 0, 0]).contains(&0));
        }
        assert_eq!(tables.begun_anew, [0, 1, 0, 0]);
    }
}
