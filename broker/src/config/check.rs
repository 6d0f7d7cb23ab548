//! Whether a configuration that can be read can be served: what is left open, what would never serve anybody, what does not
//! go together.

use capability::{Scope, VerifyKey};

use super::{ByteSize, Config, ConfigError};
use crate::northbound;
use crate::ports::agent_auth::AgentAuth;
use crate::service::{check_broker_of, is_agent_name, read_card_keys};

impl Config {
    /// Whether it can be served.
    pub fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Wrong { origin: origin.to_owned(), problem };
        if self.is_open() && !self.server.listen.ip().is_loopback() && !self.server.allow_open_anywhere {
            return Err(wrong(format!(
                "server.listen is {}, but without [[principals]] or [[issuers]] anyone who reaches it could do everything; \
                 add principals, listen on 127.0.0.1, or set server.allow_open_anywhere = true",
                self.server.listen
            )));
        }
        self.check_bounds().map_err(wrong)?;
        let is_shared = !self.store.url.is_empty();
        let problem = self.store.problem().or_else(|| self.cluster.problem(self.server.listen, is_shared));
        let problem = problem.or_else(|| self.selection.problem());
        let problem = problem.or_else(|| self.mcp.problem()).or_else(|| self.traces.problem());
        problem.map_or(Ok(()), |problem| Err(wrong(problem)))?;
        for (key, span) in
            [("server.write_timeout", self.server.write_timeout), ("server.heartbeat", self.server.heartbeat)]
        {
            if span.0.is_zero() {
                return Err(wrong(format!("{key}: expected a time longer than 0s")));
            }
        }
        let brokers = self.brokers().map_err(|error| wrong(error.to_string()))?;
        for agent in &self.agents {
            check_broker_of(agent, brokers.iter())
                .map_err(|problem| wrong(format!("agents.broker of {}: {problem}", agent.name)))?;
            if !is_agent_name(&agent.name) {
                let name = &agent.name;
                return Err(wrong(format!(
                    "agents.name {name:?}: expected [a-z0-9][a-z0-9-]{{0,62}}, and none of the broker's own path segments"
                )));
            }
            if let Some(Err(problem)) = agent.auth.as_ref().map(AgentAuth::check) {
                return Err(wrong(format!("agents.auth of {}: {problem}", agent.name)));
            }
            if let Some(Err(problem)) = agent.jwk.as_ref().map(VerifyKey::from_jwk) {
                return Err(wrong(format!("agents.jwk of {}: {problem}", agent.name)));
            }
            read_card_keys(&agent.card_keys)
                .map_err(|problem| wrong(format!("agents.card_keys of {}: {problem}", agent.name)))?;
            Scope::parse(&agent.caps)
                .map_err(|error| wrong(format!("agents.caps of {}: {error}", agent.name)))?;
        }
        self.southbound.check().map_err(wrong)?;
        self.principals()
            .and_then(|_| self.issuers())
            .and_then(|_| self.accounts())
            .and_then(|_| self.quotas())
            .map_err(|error| wrong(error.to_string()))?;
        self.check_certificates().and_then(|()| self.server.tls.load()).map(drop).map_err(wrong)
    }

    /// Bounds with which nothing would ever be served.
    fn check_bounds(&self) -> Result<(), String> {
        let server = &self.server;
        for (key, bound) in
            [("server.max_connections", server.max_connections), ("server.max_requests", server.max_requests)]
        {
            if bound == 0 {
                return Err(format!("{key}: expected at least 1"));
            }
        }
        let needed = ByteSize(server.body_limit.0.saturating_add(northbound::REQUEST_BYTES as u64));
        if server.max_body_memory.0 < needed.0 {
            return Err(format!(
                "server.max_body_memory is {}: expected at least {needed}, for one request of server.body_limit",
                server.max_body_memory
            ));
        }
        Ok(())
    }

    /// Certificates and the authority that signs them come together, or one of them was forgotten.
    fn check_certificates(&self) -> Result<(), String> {
        let asks = self.server.tls.asks_for_certificates();
        match self.principals.iter().find(|principal| principal.has_certificate()) {
            Some(principal) if !asks => Err(format!(
                "principals.{}: cert_sha256 and cert_san need server.tls.client_ca, the authority that signs them",
                principal.name
            )),
            None if asks => Err("server.tls.client_ca: no principal has cert_sha256 or cert_san, so every \
                                 certificate would be refused"
                .to_owned()),
            _ => Ok(()),
        }
    }
}
