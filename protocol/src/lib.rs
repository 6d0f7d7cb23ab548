//! The A2A v1.0 wire, sans-I/O: bytes to types and back.
