//! Every check, in files named by the section of the specification they judge.

mod s03_context;
mod s03_delivery;
mod s03_errors;
mod s03_history;
mod s03_list;
mod s03_push;
mod s03_send;
mod s03_tasks;
mod s03_versions;
mod s04_extensions;
mod s05_data;
mod s07_auth;
mod s08_cards;
mod s09_jsonrpc;
mod s10_grpc;
mod s11_http_json;
mod s13_security;

use super::check::Check;

/// Every check of the suite.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        s03_send::CHECKS,
        s03_tasks::CHECKS,
        s03_list::CHECKS,
        s03_history::CHECKS,
        s03_push::CHECKS,
        s03_errors::CHECKS,
        s03_context::CHECKS,
        s03_delivery::CHECKS,
        s03_versions::CHECKS,
        s04_extensions::CHECKS,
        s05_data::CHECKS,
        s07_auth::CHECKS,
        s08_cards::CHECKS,
        s09_jsonrpc::CHECKS,
        s10_grpc::CHECKS,
        s11_http_json::CHECKS,
        s13_security::CHECKS,
    ]
    .into_iter()
    .flatten()
}
