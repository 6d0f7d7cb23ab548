//! Event streams: however the bytes are cut, the events are the same.

use proptest::prelude::*;
use protocol::binding::sse::{Decoder, Event, HEARTBEAT, SseError, is_media_type, write_event};

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(1_000);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events).unwrap();
    }
    events
}

proptest! {
    #[test]
    fn cuts_change_nothing(texts in prop::collection::vec("\\PC{0,20}", 1..5), cuts in prop::collection::vec(0_usize..200, 0..8)) {
        let mut bytes = b"\xef\xbb\xbf".to_vec();
        for (id, text) in (0..).zip(&texts) {
            bytes.extend(write_event(Some(id), &[text.as_bytes()]));
            bytes.extend(HEARTBEAT);
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let events = decode(&pieces);
        prop_assert_eq!(&events, &decode(&[&bytes]));
        let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
        prop_assert_eq!(data, texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn all_line_ends_and_fields_are_read() {
    let event = |id: Option<&str>, name: Option<&str>, data: &str| Event {
        id: id.map(ToOwned::to_owned),
        name: name.map(ToOwned::to_owned),
        data: data.to_owned(),
    };
    assert_eq!(
        decode(&[b"data: a\rdata: b\r\rid: 7\r\nevent: error\r\ndata:c\r\n\r\n: x\n\ndata\n\n"]),
        [event(None, None, "a\nb"), event(Some("7"), Some("error"), "c"), event(None, None, "")]
    );
    for lines in ["a\nb", "a\rb", "a\r\nb"] {
        let whole = write_event(None, &[lines.as_bytes()]);
        assert_eq!(decode(&[&whole]), [event(None, None, "a\nb")], "{lines:?}");
        for at in 0..=lines.len() {
            let (before, after) = lines.as_bytes().split_at(at);
            assert_eq!(write_event(None, &[before, after]), whole, "{lines:?} in two pieces");
        }
    }
}

#[test]
fn events_are_bounded_and_cut_events_are_noticed() {
    let mut decoder = Decoder::new(10);
    let mut events = Vec::new();
    assert_eq!(decoder.push(b"data: 12345678901", &mut events), Err(SseError::TooLarge { limit: 10 }));
    let mut decoder = Decoder::new(10);
    for _ in 0..100 {
        decoder.push(b"data: 1\n\n", &mut events).unwrap();
    }
    assert!(!decoder.is_mid_event());
    decoder.push(b"data: 1", &mut events).unwrap();
    assert!(decoder.is_mid_event());
    assert_eq!(Decoder::new(9).push(b"\xff\n", &mut events), Err(SseError::NotText));
}

#[test]
fn what_was_heard_before_an_error_does_not_depend_on_the_cuts() {
    let bytes = b"data: 1\n\ndata: 2\n\ndata: much too long\n\ndata: 3\n\n";
    for size in 1..bytes.len() {
        let (mut decoder, mut events) = (Decoder::new(10), Vec::new());
        let failed = bytes.chunks(size).find_map(|piece| decoder.push(piece, &mut events).err());
        assert_eq!(failed, Some(SseError::TooLarge { limit: 10 }));
        let heard: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(heard, ["1", "2"], "in pieces of {size}");
    }
}

#[test]
fn one_byte_order_mark_is_taken_off_and_no_second() {
    assert_eq!(decode(&[b"\xef\xbb\xbfdata: x\n\n"])[0].data, "x");
    assert!(decode(&[b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n"]).is_empty(), "a field of another name");
}

#[test]
fn an_event_stream_is_known_however_its_type_is_spelled() {
    for spelled in ["text/event-stream", "Text/Event-Stream;charset=UTF-8", " text/event-stream ; x=y"] {
        assert!(is_media_type(spelled), "{spelled}");
    }
    for other in ["", "text/event-streams", "text/plain; text/event-stream", "application/json"] {
        assert!(!is_media_type(other), "{other}");
    }
}
