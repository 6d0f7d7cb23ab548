//! An agent's event stream, decoded.

use async_stream::stream;
use broker_core::delegation::input::Failure;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::binding::sse::Decoder;

use super::failure::Trouble;
use super::wire::Wire;
use crate::ports::downstream::EventStream;

/// The events of a `text/event-stream` body. Ends after an error; a clean end of the body ends it without one.
pub(super) fn events(mut body: Incoming, wire: Wire, max_event_bytes: usize) -> EventStream {
    Box::pin(stream! {
        let (mut decoder, mut has_begun) = (Decoder::new(max_event_bytes), false);
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    yield Err(Failure::Broken(format!("its event stream broke off: {error}")));
                    return;
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            let mut complete = Vec::new();
            let pushed = decoder.push(&data, &mut complete);
            for event in complete {
                let means = if has_begun { Trouble::of_rest } else { Trouble::of_send };
                let read = wire.read_event(&event).map_err(means);
                let failed = read.is_err();
                has_begun = true;
                yield read;
                if failed {
                    return;
                }
            }
            if let Err(error) = pushed {
                yield Err(Failure::Invalid(error.to_string()));
                return;
            }
        }
        if decoder.is_mid_event() {
            yield Err(Failure::Broken("its event stream ended in the middle of an event".to_owned()));
        }
    })
}
