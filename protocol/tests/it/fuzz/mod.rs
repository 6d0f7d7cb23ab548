//! Whatever bytes come in, at every parser of every binding: no panic, work bounded by the input, what is accepted is
//! written as something that is accepted and the same, and what nobody knows survives.

mod json;
mod mutation;
mod protobuf;
mod text;
