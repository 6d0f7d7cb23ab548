//! Event streams: however the bytes are cut, the events are the same.

use proptest::prelude::*;
use protocol::binding::sse::{Decoder, Event, HEARTBEAT, SseError, write_event};

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(1_000);
    pieces.iter().flat_map(|piece| decoder.push(piece).unwrap()).collect()
}

proptest! {
    #[test]
    fn cuts_change_nothing(texts in prop::collection::vec("\\PC{0,20}", 1..5), cuts in prop::collection::vec(0_usize..200, 0..8)) {
        let mut bytes = b"\xef\xbb\xbf".to_vec();
        for (id, text) in (0..).zip(&texts) {
            bytes.extend(write_event(Some(id), text.as_bytes()));
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
    assert_eq!(decode(&[&write_event(None, b"a\nb")]), [event(None, None, "a\nb")]);
}

#[test]
fn events_are_bounded_and_cut_events_are_noticed() {
    let mut decoder = Decoder::new(10);
    assert_eq!(decoder.push(b"data: 12345678901"), Err(SseError::TooLarge { limit: 10 }));
    let mut decoder = Decoder::new(10);
    for _ in 0..100 {
        decoder.push(b"data: 1\n\n").unwrap();
    }
    assert!(!decoder.is_mid_event());
    decoder.push(b"data: 1").unwrap();
    assert!(decoder.is_mid_event());
    assert_eq!(Decoder::new(9).push(b"\xff\n"), Err(SseError::NotText));
}
