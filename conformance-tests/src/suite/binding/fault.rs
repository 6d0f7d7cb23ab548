//! An error as a binding showed it, judged against the error the specification names.

use serde_json::Value;

use super::{Kind, grpc};
use crate::suite::check::{Stop, ensure, shown};
use crate::suite::operation::Named;

/// `@type` of an ErrorInfo.
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// gRPC: the caller's parameters are bad.
const INVALID_ARGUMENT: i64 = 3;
/// gRPC: the caller may not.
const PERMISSION_DENIED: i64 = 7;
/// gRPC: nobody knows who the caller is.
pub const UNAUTHENTICATED: i64 = 16;
/// gRPC: UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS, which are no fault of the caller.
const OWN_FAILURES: [i64; 4] = [2, 13, 14, 15];

/// An error.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The binding it came over.
    pub kind: Kind,
    /// HTTP status.
    pub status: u16,
    /// The error object; null if there was none. Of gRPC: code, message, details, and code and message once more as
    /// `status` if `grpc-status-details-bin` was there to repeat them.
    pub error: Value,
    /// The body as it came.
    pub text: String,
    /// `WWW-Authenticate`, or the metadata of that name.
    pub challenge: Option<String>,
}

impl Fault {
    /// `error.code` of the JSON bindings; the status code of gRPC.
    pub fn code(&self) -> Option<i64> {
        self.error["code"].as_i64()
    }

    /// The structured details: `error.data` in JSON-RPC, `error.details` in HTTP+JSON and gRPC.
    pub fn details(&self) -> &Value {
        match self.kind {
            Kind::JsonRpc => &self.error["data"],
            Kind::HttpJson | Kind::Grpc => &self.error["details"],
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
            Kind::Grpc => {
                let (name, message) = (grpc::code_name(self.code()), &self.error["message"]);
                shown(&format!("{name} {message}, details {}", self.details()))
            }
        }
    }

    /// It is the named error by code or status, and by reason where it gives one.
    pub fn must_be(&self, named: Named) -> Result<(), Stop> {
        let same = match self.kind {
            Kind::JsonRpc => self.code() == Some(named.code),
            Kind::HttpJson => self.status == named.status && self.has_no_reason_but(named.reason),
            Kind::Grpc => self.code() == Some(named.grpc) && self.has_no_reason_but(named.reason),
        };
        let expected = match self.kind {
            Kind::JsonRpc => named.code.to_string(),
            Kind::HttpJson => format!("HTTP {} ({})", named.status, named.reason),
            Kind::Grpc => format!("{} ({})", grpc::code_name(Some(named.grpc)), named.reason),
        };
        ensure!(same, "expected {}, {expected}, and got {}", named.name, self.seen());
        Ok(())
    }

    /// It says that the caller is at fault, whichever way.
    pub fn must_blame_the_caller(&self) -> Result<(), Stop> {
        let own = match self.kind {
            Kind::JsonRpc => self.code().is_none_or(|code| code == -32603) || self.status >= 500,
            Kind::HttpJson => self.status >= 500,
            Kind::Grpc => self.code().is_none_or(|code| OWN_FAILURES.contains(&code)),
        };
        ensure!(!own, "bad input was answered as the server's own failure: {}", self.seen());
        Ok(())
    }

    /// It is the error of bad parameters: −32602, HTTP 400, or INVALID_ARGUMENT.
    pub fn must_be_invalid_params(&self) -> Result<(), Stop> {
        let same = match self.kind {
            Kind::JsonRpc => self.code() == Some(-32602),
            Kind::HttpJson => self.status == 400,
            Kind::Grpc => self.code() == Some(INVALID_ARGUMENT),
        };
        ensure!(same, "expected {}, and got {}", self.kind.invalid_params(), self.seen());
        Ok(())
    }

    /// Whether it is the error of bad parameters, and no other that shares its HTTP status.
    pub fn is_about_parameters(&self) -> bool {
        self.must_be_invalid_params().is_ok() && self.has_no_reason_but("INVALID_PARAMS")
    }

    fn has_no_reason_but(&self, expected: &str) -> bool {
        let reason = self.info().and_then(|info| info["reason"].as_str());
        reason.is_none_or(|reason| reason == expected)
    }

    /// It refuses for want of (good) credentials: 401 or 403, UNAUTHENTICATED or PERMISSION_DENIED, or a
    /// JSON-RPC error that is the server's own.
    pub fn is_refusal_of_credentials(&self) -> bool {
        match self.kind {
            Kind::HttpJson => self.status == 401 || self.status == 403,
            Kind::Grpc => matches!(self.code(), Some(UNAUTHENTICATED | PERMISSION_DENIED)),
            Kind::JsonRpc => {
                let standard = self.code().is_some_and(|code| (-32700..=-32600).contains(&code));
                self.status == 401 || self.status == 403 || (self.code().is_some() && !standard)
            }
        }
    }

    /// Its ErrorInfo names the error and the specification's domain (spec §9.5, §10.6, §11.6).
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
