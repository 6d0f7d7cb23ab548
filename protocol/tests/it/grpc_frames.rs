//! gRPC's frames, trailers and deadlines: cut anywhere, damaged anyhow, and there and back.

use std::time::Duration;

use base64::Engine;
use proptest::prelude::*;
use protocol::binding::grpc::{
    DETAILS_TRAILER, Deframer, FrameError, MESSAGE_TRAILER, STATUS_TRAILER, frame, is_media_type,
    operation_at, path_of, read_response, read_status, read_timeout, write_status,
};
use protocol::{A2aError, ErrorDetail, ErrorKind, Operation};
use serde_json::{Value, json};

fn there_and_back(error: &A2aError) -> A2aError {
    let trailers = write_status(error);
    let of = |name: &str| trailers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    assert!(trailers.iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
    read_status(of(STATUS_TRAILER).unwrap(), of(MESSAGE_TRAILER), of(DETAILS_TRAILER)).unwrap()
}

proptest! {
    #[test]
    fn cuts_change_nothing(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), size in 1_usize..9) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(message).unwrap()).collect();
        let (mut deframer, mut found) = (Deframer::new(20), Vec::new());
        for piece in bytes.chunks(size) {
            deframer.push(piece);
            while let Some(message) = deframer.next_message().unwrap() {
                found.push(message);
            }
        }
        prop_assert_eq!(found, messages);
        prop_assert!(!deframer.is_mid_message());
    }

    #[test]
    fn any_trailers_are_survived(code in "\\PC{0,4}", text in "\\PC{0,20}", details in "[A-Za-z0-9+/=]{0,60}") {
        let _ = read_status(&code, Some(&text), Some(&details));
        let _ = read_timeout(&text);
        let _ = operation_at(&text);
    }

    #[test]
    fn any_sentence_survives_its_trailer(text in "\\PC{0,60}") {
        let back = there_and_back(&A2aError::new(ErrorKind::Internal, text.clone()));
        prop_assert_eq!(back.message, format!("{text} (gRPC INTERNAL)"));
    }
}

#[test]
fn bad_frames_are_refused_by_their_first_bytes() {
    let first = |bytes: &[u8]| {
        let mut deframer = Deframer::new(8);
        deframer.push(bytes);
        deframer.next_message()
    };
    assert_eq!(first(&[0, 0, 0, 0, 9]), Err(FrameError::TooLarge { length: 9, limit: 8 }));
    assert_eq!(first(&[1, 0, 0, 0, 1, 7]), Err(FrameError::Compressed));
    assert_eq!(first(&[9, 0, 0, 0, 1, 7]), Err(FrameError::BadFlag(9)));
    assert_eq!(first(&[0, 0, 0, 0]), Ok(None));
    assert_eq!(first(&[0, 0, 0, 0, 0]), Ok(Some(Vec::new())));
}

#[test]
fn every_row_of_the_error_table_comes_back_with_its_details() {
    for &kind in ErrorKind::ALL {
        let missing = [("missing".to_owned(), "a2a:skill/x/*".to_owned())].into();
        let error = A2aError::new(kind, "why, grüezi").with_info("example", "WHY", missing).with(
            ErrorDetail::BadRequest {
                field_violations: vec![("message.parts".to_owned(), "empty".to_owned())],
            },
        );
        let back = there_and_back(&error.clone().with(ErrorDetail::RetryInfo { seconds: 7 }));
        let expected = match kind {
            // A deadline that passed leaves open what was done.
            ErrorKind::RequestTimeout => ErrorKind::OutcomeUnknown,
            // gRPC has no status of this meaning; its reason tells, where it has one.
            ErrorKind::OutcomeUnknown => ErrorKind::Internal,
            // To others than this broker, what is out of range is a parameter.
            ErrorKind::EventGap => ErrorKind::InvalidParams,
            kind => kind,
        };
        assert_eq!(back.kind.grpc_status(), expected.grpc_status(), "{kind:?}");
        let read = [error.details[0].clone(), ErrorDetail::RetryInfo { seconds: 7 }];
        assert!(back.details.ends_with(&read), "{back:?}");
        let specified = (-32009..=-32001).contains(&kind.jsonrpc_code());
        let plain = there_and_back(&A2aError::new(kind, "why"));
        assert!(!specified || plain.kind == kind, "the reason tells {kind:?} from others of its status");
    }
    assert!(read_status("0", None, None).is_none());
    assert_eq!(read_status("99", None, None).unwrap().kind, ErrorKind::Internal);
}

#[test]
fn trailers_stay_small_enough_for_clients() {
    let huge = A2aError::new(ErrorKind::PermissionDenied, "ü".repeat(9_000))
        .with_info("example", "FITS", std::collections::BTreeMap::new())
        .with_info("example", "HUGE", [("missing".to_owned(), "x".repeat(9_000))].into());
    let size: usize = write_status(&huge).iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size < 8 * 1024, "{size}");
    let back = there_and_back(&huge);
    assert!(
        matches!(&back.details[..], [ErrorDetail::ErrorInfo { reason, .. }] if reason == "FITS"),
        "{back:?}"
    );
}

#[test]
fn paths_types_and_deadlines_are_told_apart() {
    for &operation in Operation::ALL {
        assert_eq!(operation_at(&path_of(operation)), Some(operation));
    }
    assert_eq!(operation_at("/lf.a2a.v1.A2AService/sendMessage"), None);
    assert_eq!(operation_at("/a2a.v1.A2AService/SendMessage"), None);
    for good in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
        assert!(is_media_type(good), "{good}");
    }
    for other in ["application/grpc-web", "application/grpc+json", "application/json", ""] {
        assert!(!is_media_type(other), "{other}");
    }
    assert_eq!(read_timeout("30S").unwrap(), Duration::from_secs(30));
    assert_eq!(read_timeout("99999999H").unwrap(), Duration::from_hours(99_999_999));
    for bad in ["", "S", "1", "-1S", "123456789S", "1 S", "1ü"] {
        assert!(read_timeout(bad).is_err(), "{bad}");
    }
}

/// Found by `fuzz::protobuf`: what others refuse or read otherwise.
#[test]
fn what_does_not_count_in_a_message_is_looked_at_as_others_do() {
    let event = |bytes: &[u8]| read_response::<Value>(Operation::SubscribeToTask, bytes);
    let value = |value: &[u8]| {
        let size = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let part = [&[4 << 3 | 2, size(value)], value].concat();
        let message = [&[5 << 3 | 2, size(&part)], &part[..]].concat();
        event(&[&[2 << 3 | 2, size(&message)], &message[..]].concat())
            .map(|event| event["message"]["parts"][0]["data"].clone())
    };
    let task_then_message = b"\x0a\x03why\x12\x03\x1a\x01x";
    assert!(event(task_then_message).is_err(), "a member that another took the place of, and no message");
    let interrupted = b"\x12\x03\x0a\x01a\x0a\x00\x12\x03\x12\x01c";
    assert_eq!(event(interrupted).unwrap(), json!({ "message": { "contextId": "c" } }), "it begins anew");
    assert!(event(b"\x12\x01\x0a\x12\x01\x00").is_err(), "a piece that ends within a field");
    assert!(value(b"\x2a\x09\x09\0\0\0\0\0\0\0\0").is_err(), "an entry of a map that is a number");
    assert_eq!(value(b"\x1a\x01x\x48\x01").unwrap(), json!("x"), "a field of a later version is passed over");
    assert!(value(b"\x18\x01\x20\x01").is_err(), "a text that arrived as a number");
}

#[test]
fn a_delay_of_less_than_a_second_is_not_read_as_none() {
    // google.rpc.Status { code: 14, details: [Any { RetryInfo { retry_delay: Duration { nanos: 250_000_000 } } }] }
    let mut delay = vec![0x0a, 0x05, 0x10];
    delay.extend([0x80, 0xe5, 0x9a, 0x77]);
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let mut any = vec![0x0a, u8::try_from(url.len()).unwrap()];
    any.extend(url);
    any.extend([0x12, u8::try_from(delay.len()).unwrap()]);
    any.extend(delay);
    let mut status = vec![0x08, 14, 0x1a, u8::try_from(any.len()).unwrap()];
    status.extend(any);
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    let error = read_status("14", None, Some(&details)).unwrap();
    assert_eq!(error.details, [ErrorDetail::RetryInfo { seconds: 1 }]);
}
