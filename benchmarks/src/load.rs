//! The load generator: one thread, HTTP/1.1 written and read by hand, so that it takes less of its core than what it asks
//! takes of its own. A closed loop for throughput, an open loop for percentiles.

mod closed;
mod connection;
mod http2;
mod open;
mod request;
mod streams;
mod tally;

pub use closed::{calls, closed_loop};
pub use connection::Connection;
pub use http2::grpc_first_events;
pub use open::open_loop;
pub use request::Request;
pub use streams::first_events;
pub use tally::{Tally, Window, unique};
