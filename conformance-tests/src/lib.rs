//! Judges any A2A server from outside: raw JSON and bytes, never our types.
