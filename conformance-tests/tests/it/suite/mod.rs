//! The suite that judges any server, judged itself.

mod command;
mod faults;
mod grpc_faults;
mod grpc_proxy;
mod protobuf;
mod proxy;
mod through;
mod trace;
mod wire_faults;
