//! `[[quotas]]`: what a principal, an account or an agent may use.

use broker_core::quota::Quota;
use capability::ledger::Ceilings;
use serde::{Deserialize, Serialize};

use super::{ByteSize, Config, ConfigError};
use crate::service::{QuotaKind, QuotaTable};

/// What stands for each of a kind that has no quota of its own.
const EACH: &str = "*";

/// A quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct QuotaConfig {
    pub of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_minute: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_at_once: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_tasks: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<ByteSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_day: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations_per_day: Option<u64>,
}

impl QuotaConfig {
    /// Whose it is; no name means each of the kind.
    fn subject(&self) -> Result<(QuotaKind, Option<&str>), String> {
        let of = &self.of;
        let expected = || {
            format!(
                "expected \"principal:NAME\", \"account:NAME\" or \"agent:NAME\", or {EACH:?} as the name, found {of:?}"
            )
        };
        let (kind, name) = of.split_once(':').ok_or_else(expected)?;
        let kind = QuotaKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(expected)?;
        if name.is_empty() {
            return Err(expected());
        }
        Ok((kind, Some(name).filter(|name| *name != EACH)))
    }

    fn quota(&self, kind: QuotaKind) -> Result<Quota, String> {
        if kind == QuotaKind::Agent && self.calls_at_once.is_some() {
            return Err("calls_at_once is for callers; an agent has max_concurrent".to_owned());
        }
        let money = |text: &String| {
            capability::parse_money(text)
                .ok_or_else(|| format!("usd_per_day: expected an amount such as \"12.50\", found {text:?}"))
        };
        Ok(Quota {
            messages_per_minute: self.messages_per_minute,
            calls_at_once: self.calls_at_once,
            open_tasks: self.open_tasks,
            bytes_per_day: self.bytes_per_day.map(|size| size.0),
            budget_per_day: Ceilings {
                usd: self.usd_per_day.as_ref().map(money).transpose()?,
                calls: self.calls_per_day,
                tokens: self.tokens_per_day,
                fanout: self.delegations_per_day,
            },
        })
    }
}

impl Config {
    /// Who may use how much.
    pub fn quotas(&self) -> Result<QuotaTable, ConfigError> {
        let mut table = QuotaTable::new(Some(self.limits.max_open_tasks));
        for quota in &self.quotas {
            let wrong =
                |problem: String| ConfigError::Callers(format!("quotas.of {:?}: {problem}", quota.of));
            let (kind, name) = quota.subject().map_err(wrong)?;
            self.is_known(kind, name).map_err(wrong)?;
            if !table.add(kind, name, quota.quota(kind).map_err(wrong)?) {
                return Err(wrong("stands twice".to_owned()));
            }
        }
        Ok(table)
    }

    /// A name that nobody has would bound nobody. Agents, and principals that tokens name, need not stand here.
    fn is_known(&self, kind: QuotaKind, name: Option<&str>) -> Result<(), String> {
        let Some(name) = name else { return Ok(()) };
        let is_known = match kind {
            QuotaKind::Account => self.accounts.iter().any(|account| account.name == name),
            QuotaKind::Principal => {
                name.contains(':')
                    || self.is_open()
                    || self.principals.iter().any(|principal| principal.name == name)
            }
            QuotaKind::Agent => true,
        };
        if is_known { Ok(()) } else { Err(format!("there is no [[{}s]] entry of that name", kind.name())) }
    }
}
