//! Server-sent events: what streams are made of, in both directions.

/// Room for what stands around an event's data: the names of the fields, and a number.
const FRAME_BYTES: usize = 40;

/// What an event stream is announced as.
pub const MEDIA_TYPE: &str = "text/event-stream";

/// Whether a media type is that, however it is spelled and whatever is added to it (RFC 9110 §8.3.1).
pub fn is_media_type(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `id` field, if the event has one.
    pub id: Option<String>,
    /// The `event` field, if the event has one.
    pub name: Option<String>,
    /// The `data` lines, joined by line breaks.
    pub data: String,
}

/// A comment that keeps a connection alive.
pub const HEARTBEAT: &[u8] = b": keep-alive\n\n";

/// When to come back to a stream that ended before its task did, for readers that do so by themselves. It stands in the
/// first event: some readers make an event of any block, and some an error of anything after the last one.
pub const RETRY: &[u8] = b"retry: 2000\n";

/// Writes an event; its data is given in pieces that follow each other, so that what many events share need not be copied
/// into each of them first. Line breaks in the data make several `data` lines, whichever of the three they are: JSON may
/// have any of them between its tokens, and readers end a line at each.
pub fn write_event(id: Option<u64>, data: &[&[u8]]) -> Vec<u8> {
    let length: usize = data.iter().map(|piece| piece.len()).sum();
    let mut event = Vec::with_capacity(length + FRAME_BYTES);
    if let Some(id) = id {
        event.extend_from_slice(b"id: ");
        // A number in JSON is its digits, and is written faster so; a vector takes whatever is written into it.
        let _ = serde_json::to_writer(&mut event, &id);
        event.push(b'\n');
    }
    let start = event.len();
    write_data(&mut event, data);
    // Nearly all are one line, which is seen much faster than where others break.
    if event.get(start..).and_then(|line| memchr::memchr2(b'\n', b'\r', line)).is_some() {
        event.truncate(start);
        for (number, line) in lines(&data.concat()).enumerate() {
            if number > 0 {
                event.push(b'\n');
            }
            write_data(&mut event, &[line]);
        }
    }
    event.extend_from_slice(b"\n\n");
    event
}

fn write_data(event: &mut Vec<u8>, pieces: &[&[u8]]) {
    event.extend_from_slice(b"data: ");
    for piece in pieces {
        event.extend_from_slice(piece);
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .flat_map(|line| line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b'\r'))
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event is larger than allowed.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("an event is not UTF-8 text")]
    NotText,
}

/// Reads events out of bytes that arrive in any pieces.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    size: usize,
    after_cr: bool,
    at_start: bool,
}

impl Decoder {
    /// A decoder that refuses events larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let event = Event::default();
        Self { limit, line: Vec::new(), event, has_data: false, size: 0, after_cr: false, at_start: true }
    }

    /// Takes in a piece and adds the events it completes. Those before an error are added too: what was heard does not
    /// depend on where the pieces were cut.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        for &byte in bytes {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                _ => {
                    self.line.push(byte);
                    self.size += 1;
                    if self.size > self.limit {
                        return Err(SseError::TooLarge { limit: self.limit });
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the bytes so far end in the middle of an event.
    pub fn is_mid_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn end_line(&mut self) -> Result<Option<Event>, SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotText)?;
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.name = Some(value.to_owned()),
            "id" => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(None)
    }
}
