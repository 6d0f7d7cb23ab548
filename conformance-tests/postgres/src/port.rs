//! Ports for servers that are started again at the address they had.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what systems give out by themselves (on Linux from 32,768, by the IANA from 49,152).
const FIRST: u16 = 12_000;
const PORTS: u16 = 20_000;

/// A port of loopback that stays free while its server is away, unless another run of the tests takes it: it is none that the system would give to somebody who
/// asks for any, or to a connection from this machine (such as one to that very port, which would then reach itself).
pub fn lasting_port() -> Result<u16, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin at different places.
    let begin = u16::try_from(process::id() * 101 % u32::from(PORTS)).unwrap_or_default();
    for _ in 0..PORTS {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("none of {PORTS} ports from {FIRST} on is free"))
}
