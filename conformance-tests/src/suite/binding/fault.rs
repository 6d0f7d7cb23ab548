//! An error as a binding showed it, judged against the error the specification names.

use serde_json::Value;

use super::Kind;
use crate::suite::check::{Stop, ensure, shown};
use crate::suite::operation::Named;

/// `@type` of an ErrorInfo.
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// An error.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The binding it came over.
    pub kind: Kind,
    /// HTTP status.
    pub status: u16,
    /// The error object; null if there was none.
    pub error: Value,
    /// The body as it came.
    pub text: String,
    /// `WWW-Authenticate`.
    pub challenge: Option<String>,
}

impl Fault {
    /// `error.code` of JSON-RPC.
    pub fn code(&self) -> Option<i64> {
        self.error["code"].as_i64()
    }

    /// The structured details: `error.data` in JSON-RPC, `error.details` in HTTP+JSON.
    pub fn details(&self) -> &Value {
        match self.kind {
            Kind::JsonRpc => &self.error["data"],
            Kind::HttpJson => &self.error["details"],
        }
    }

    /// The ErrorInfo among the details.
    pub fn info(&self) -> Option<&Value> {
        self.details().as_array()?.iter().find(|detail| detail["@type"] == ERROR_INFO)
    }

    /// In a few words.
    pub fn seen(&self) -> String {
        match self.kind {
            Kind::JsonRpc => shown(&format!("error {}", self.error)),
            Kind::HttpJson => shown(&format!("HTTP {}: {}", self.status, self.text)),
        }
    }

    /// It is the named error by code or status, and by reason where it gives one.
    pub fn must_be(&self, named: Named) -> Result<(), Stop> {
        let same = match self.kind {
            Kind::JsonRpc => self.code() == Some(named.code),
            Kind::HttpJson => {
                let reason = self.info().and_then(|info| info["reason"].as_str());
                self.status == named.status && reason.is_none_or(|reason| reason == named.reason)
            }
        };
        let expected = match self.kind {
            Kind::JsonRpc => named.code.to_string(),
            Kind::HttpJson => format!("HTTP {} ({})", named.status, named.reason),
        };
        ensure!(same, "expected {}, {expected}, and got {}", named.name, self.seen());
        Ok(())
    }

    /// It says that the caller is at fault, whichever way.
    pub fn must_blame_the_caller(&self) -> Result<(), Stop> {
        let own = match self.kind {
            Kind::JsonRpc => self.code().is_none_or(|code| code == -32603) || self.status >= 500,
            Kind::HttpJson => self.status >= 500,
        };
        ensure!(!own, "bad input was answered as the server's own failure: {}", self.seen());
        Ok(())
    }

    /// It is the error of bad parameters: −32602, or HTTP 400.
    pub fn must_be_invalid_params(&self) -> Result<(), Stop> {
        let same = match self.kind {
            Kind::JsonRpc => self.code() == Some(-32602),
            Kind::HttpJson => self.status == 400,
        };
        ensure!(same, "expected -32602 or HTTP 400, and got {}", self.seen());
        Ok(())
    }

    /// Whether it is the error of bad parameters, and no other that shares its HTTP status.
    pub fn is_about_parameters(&self) -> bool {
        let reason = self.info().and_then(|info| info["reason"].as_str());
        self.must_be_invalid_params().is_ok() && reason.is_none_or(|reason| reason == "INVALID_PARAMS")
    }

    /// It refuses for want of (good) credentials: 401 or 403, or a JSON-RPC error that is the server's own.
    pub fn is_refusal_of_credentials(&self) -> bool {
        match self.kind {
            Kind::HttpJson => self.status == 401 || self.status == 403,
            Kind::JsonRpc => {
                let standard = self.code().is_some_and(|code| (-32700..=-32600).contains(&code));
                self.status == 401 || self.status == 403 || (self.code().is_some() && !standard)
            }
        }
    }

    /// Its ErrorInfo names the error and the specification's domain (spec §9.5, §11.6).
    pub fn must_carry_info(&self, named: Named) -> Result<(), Stop> {
        let Some(info) = self.info() else {
            return Err(Stop::Fail(format!(
                "{} came without a google.rpc.ErrorInfo: {}",
                named.name,
                self.seen()
            )));
        };
        ensure!(info["reason"] == named.reason, "reason should be {}: {info}", named.reason);
        ensure!(info["domain"] == "a2a-protocol.org", "domain should be a2a-protocol.org: {info}");
        Ok(())
    }
}
