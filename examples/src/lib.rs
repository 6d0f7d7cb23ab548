//! Agents that delegate through the broker, each one readable file.
