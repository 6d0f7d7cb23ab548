//! What goes out: where to, to whom by TLS, and with which credentials.

mod addresses;
mod answers;
mod calls;
mod connections;
mod credentials;
mod models;
mod tls;
mod web;
mod webhooks;
