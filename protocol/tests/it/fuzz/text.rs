//! Text: paths and queries of HTTP+JSON, event streams, service parameters, times.

use protocol::binding::grpc;
use protocol::binding::http_json::{match_path, path_for, percent_decode, percent_encode, query_pairs};
use protocol::binding::sse::{Decoder, Event, SseError, write_event};
use protocol::{GetTaskRequest, ListTasksRequest, Operation, Timestamp, Version, check_version, read_pairs};

use super::mutation::{corpus, fuzz};

/// Largest event of the streams below, bytes.
const EVENT_LIMIT: usize = 512;

fn path_and_query(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    for method in ["GET", "POST", "DELETE", "BREW"] {
        let Ok(matched) = match_path(method, path) else { continue };
        let id = matched.task_id.as_deref();
        assert_eq!(id.is_some(), matched.operation.route().1.contains("{id}"), "{path}");
        let mut canonical = path_for(matched.operation, id.unwrap_or_default());
        if let Some(config) = &matched.config_id {
            canonical = canonical.replace("{configId}", &percent_encode(config));
        }
        if !text.contains('\u{fffd}') && !percent_decode(path).contains('\u{fffd}') {
            assert_eq!(match_path(method, &canonical).as_ref(), Ok(&matched), "{path} is {canonical}");
        }
    }
    if let Ok(request) = read_pairs::<ListTasksRequest>(query_pairs(query)) {
        let again = serde_json::from_str(&serde_json::to_string(&request).unwrap());
        assert_eq!(again.ok().as_ref(), Some(&request), "{query}");
    }
    let _ = read_pairs::<GetTaskRequest>(query_pairs(query));
    let _ = protocol::v03::path_in_v1(path);
    assert_eq!(percent_decode(&percent_encode(&text)), text);
}

fn decoded<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<Event>, Option<SseError>, bool) {
    let (mut decoder, mut events) = (Decoder::new(EVENT_LIMIT), Vec::new());
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut events) {
            return (events, Some(error), false);
        }
    }
    let cut = decoder.is_mid_event();
    (events, None, cut)
}

/// However the bytes are cut, the events are the same; each is bounded; written anew they read as the same.
fn event_stream(input: &[u8]) {
    let whole = decoded(std::iter::once(input));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(decoded(input.chunks(size)), whole, "in pieces of {size}");
    }
    // The place of the cut follows from the input, so that a failure can be had again.
    let cut = input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % (input.len() + 1);
    assert_eq!(decoded([&input[..cut], &input[cut..]].into_iter()), whole, "cut at {cut}");
    for event in &whole.0 {
        assert!(event.data.len() <= EVENT_LIMIT);
        let (again, error, mid) = decoded(std::iter::once(&*write_event(None, &[event.data.as_bytes()])));
        let fits = event.data.len() + 6 * (event.data.matches('\n').count() + 1) <= EVENT_LIMIT;
        if fits {
            assert_eq!((again.len(), error, mid), (1, None, false));
            assert_eq!(again[0].data, event.data);
        }
    }
}

fn parameters(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for (header, query) in [(Some(&*text), None), (None, Some(&*text))] {
        match Version::asked(header, query) {
            Ok(version) => assert_eq!(check_version(header, query).is_ok(), version == Version::V1, "{text}"),
            Err(error) => {
                assert!(check_version(header, query).is_err());
                assert!(error.message.len() <= text.len() + 256, "an error is not an amplifier");
            }
        }
    }
    if let Err(error) = grpc::read_timeout(&text) {
        assert!(error.message.len() <= 8 * text.len() + 512, "{}", error.message);
    }
    if let Some(operation) = grpc::operation_at(&text) {
        assert_eq!(grpc::path_of(operation), text);
    }
    assert_eq!(
        Operation::of_method(&text).map(Operation::method),
        Operation::of_method(&text).map(|_| &*text)
    );
    let read = grpc::read_status(&text, Some(&text), Some(&text));
    assert!(read.is_none_or(|error| error.message.len() <= 4 * text.len() + 256));
    if let Ok(at) = text.parse::<Timestamp>() {
        assert_eq!(at.to_string().parse(), Ok(at), "{text}");
        assert_eq!(Timestamp::from_millis(at.as_millis()), at);
    }
}

#[test]
fn any_bytes_as_a_path_and_a_query() {
    fuzz(&corpus("path"), path_and_query);
}

#[test]
fn any_bytes_as_an_event_stream_in_any_pieces() {
    fuzz(&corpus("sse"), event_stream);
}

#[test]
fn any_text_as_a_version_a_timeout_a_status_or_a_time() {
    fuzz(&corpus("parameter"), parameters);
}
