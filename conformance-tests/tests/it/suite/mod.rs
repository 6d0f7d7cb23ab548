//! The suite that judges any server, judged itself.

mod faults;
mod proxy;
mod through;
mod trace;
mod wire_faults;
