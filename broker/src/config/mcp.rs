//! `[mcp]`: agents as tools.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::northbound::McpOptions;

section! { McpConfig {
    enabled: bool = true,
    origins: Vec<String> = Vec::new(),
    cancel_on_hangup: bool = true,
}}

impl McpConfig {
    /// As the server has it. A page of the broker's own address may call.
    pub(super) fn options(&self, public_url: &str) -> McpOptions {
        let given = self.origins.iter().map(String::as_str);
        McpOptions {
            enabled: self.enabled,
            origins: std::iter::once(public_url).chain(given).filter_map(origin).collect(),
            cancel_on_hangup: self.cancel_on_hangup,
        }
    }

    /// What is wrong with a value.
    pub(super) fn problem(&self) -> Option<String> {
        let wrong = self.origins.iter().find(|given| origin(given).is_none())?;
        Some(format!("mcp.origins: expected origins such as \"https://host.example:8443\", found {wrong:?}"))
    }
}

/// The origin of a URL, its port always named.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    Some(format!("{}://{host}:{port}", url.scheme()))
}
