//! How a request is put and an answer read, by the agent's binding and version. What comes in and goes out here is
//! 1.0's; an agent of 0.3 is spoken to in translation.

use http::StatusCode;
use protocol::binding::jsonrpc::{self, ResponseError};
use protocol::binding::sse::Event;
use protocol::binding::{grpc, http_json};
use protocol::v03::{self, Dialect};
use protocol::{A2aError, EXTENSIONS_HEADER, Operation, StreamResponse, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::failure::Trouble;
use crate::ports::downstream::{Binding, Endpoint};

/// An operation as an endpoint has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    operation: Operation,
    binding: Binding,
    version: Version,
}

impl Wire {
    pub(super) fn of(to: &Endpoint, operation: Operation) -> Self {
        Self { operation, binding: to.binding, version: to.version }
    }

    pub(super) fn operation(self) -> Operation {
        self.operation
    }

    /// The operation, where it is called over gRPC.
    pub(super) fn grpc_operation(self) -> Option<Operation> {
        (self.binding == Binding::Grpc).then_some(self.operation)
    }

    fn dialect(self) -> Dialect {
        match self.binding {
            Binding::HttpJson => Dialect::HttpJson,
            // gRPC is spoken in 1.0 only.
            Binding::JsonRpc | Binding::Grpc => Dialect::JsonRpc,
        }
    }

    /// The JSON-RPC method.
    pub(super) fn method(self) -> &'static str {
        match self.version {
            Version::V1 => self.operation.method(),
            // What 0.3 lacks is not asked of its agents; its own name would be unknown there.
            Version::V03 => v03::method_of(self.operation).unwrap_or_else(|| self.operation.method()),
        }
    }

    /// The path below the interface's URL.
    pub(super) fn path(self, task: &str) -> String {
        let path = http_json::path_for(self.operation, task);
        match self.version {
            Version::V1 => path,
            Version::V03 => v03::path_of(self.operation, &path),
        }
    }

    /// A JSON-RPC request with the parameters as the agent reads them.
    pub(super) fn call(self, id: u64, params: &impl Serialize) -> Result<Vec<u8>, Trouble> {
        let written = match self.version {
            Version::V1 => jsonrpc::write_request(id, self.method(), params),
            Version::V03 => jsonrpc::write_request(id, self.method(), &self.translated(params)?),
        };
        written.map_err(unsayable)
    }

    /// The parameters alone, as the agent reads them.
    pub(super) fn body(self, params: &impl Serialize) -> Result<Vec<u8>, Trouble> {
        match self.version {
            Version::V1 => serde_json::to_vec(params).map_err(unsayable),
            Version::V03 => Ok(String::from(Box::<str>::from(self.translated(params)?)).into_bytes()),
        }
    }

    fn translated(self, params: &impl Serialize) -> Result<Box<RawValue>, Trouble> {
        let params = to_raw_value(params).map_err(unsayable)?;
        v03::write_request(self.operation, &params, self.dialect())
            .map_err(|invalid| Trouble::Connect(format!("it cannot be said in A2A 0.3: {invalid}")))
    }

    pub(super) fn media_type(self) -> &'static str {
        match (self.binding, self.version) {
            (Binding::HttpJson, Version::V1) => http_json::MEDIA_TYPE,
            (Binding::Grpc, _) => grpc::MEDIA_TYPE,
            _ => "application/json",
        }
    }

    pub(super) fn version_name(self) -> &'static str {
        self.version.name()
    }

    pub(super) fn extensions_header(self) -> &'static str {
        match self.version {
            Version::V1 => EXTENSIONS_HEADER,
            Version::V03 => v03::EXTENSIONS_HEADER,
        }
    }

    /// Reads an answer that is no stream.
    pub(super) fn read_answer<T: DeserializeOwned>(
        self,
        status: StatusCode,
        bytes: &[u8],
    ) -> Result<T, Trouble> {
        match self.binding {
            Binding::JsonRpc => self.read_response(bytes).map_err(|trouble| match trouble {
                Trouble::Garbage(_) if !status.is_success() => Trouble::Status(status, None),
                trouble => trouble,
            }),
            Binding::HttpJson if status.is_success() => self.read_bare(bytes),
            // Here the path names the task, so that nothing is at it says as much of the task, in whatever form.
            Binding::HttpJson
                if status == StatusCode::NOT_FOUND || serde_json::from_slice::<Value>(bytes).is_ok() =>
            {
                Err(Trouble::Answered(self.read_error(status.as_u16(), bytes)))
            }
            Binding::HttpJson | Binding::Grpc => Err(Trouble::Status(status, None)),
        }
    }

    /// Reads an event of a stream.
    pub(super) fn read_event(self, event: &Event) -> Result<StreamResponse, Trouble> {
        let data = event.data.as_bytes();
        match self.binding {
            Binding::JsonRpc => self.read_response(data),
            Binding::HttpJson if event.name.as_deref() == Some("error") => {
                Err(Trouble::Answered(self.read_error(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), data)))
            }
            // gRPC has streams of its own.
            Binding::HttpJson | Binding::Grpc => self.read_bare(data),
        }
    }

    /// Reads a result in its JSON-RPC envelope.
    fn read_response<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Trouble> {
        let trouble = |error| match error {
            ResponseError::Answered(error) => Trouble::Answered(error),
            ResponseError::Garbage(problem) => Trouble::Garbage(problem),
        };
        match self.version {
            Version::V1 => jsonrpc::read_response(bytes).map_err(trouble),
            Version::V03 => self.translate(&jsonrpc::read_response::<Box<RawValue>>(bytes).map_err(trouble)?),
        }
    }

    /// Reads a bare result.
    fn read_bare<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Trouble> {
        match self.version {
            Version::V1 => read_json(bytes),
            Version::V03 => self.translate(&read_json::<Box<RawValue>>(bytes)?),
        }
    }

    fn translate<T: DeserializeOwned>(self, answer: &RawValue) -> Result<T, Trouble> {
        let translated = v03::read_answer(self.operation, answer)
            .map_err(|invalid| Trouble::Garbage(format!("expected an A2A 0.3 object: {invalid}")))?;
        read_json(translated.get().as_bytes())
    }

    fn read_error(self, status: u16, bytes: &[u8]) -> A2aError {
        match self.version {
            Version::V1 => A2aError::from_http(status, bytes),
            Version::V03 => v03::error_from_http(status, bytes),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn unsayable(error: serde_json::Error) -> Trouble {
    Trouble::Connect(error.to_string())
}

fn read_json<T: DeserializeOwned>(data: &[u8]) -> Result<T, Trouble> {
    protocol::check_nesting(data).map_err(Trouble::Garbage)?;
    serde_json::from_slice(data).map_err(|error| {
        let found = String::from_utf8_lossy(data.get(..80.min(data.len())).unwrap_or_default()).into_owned();
        Trouble::Garbage(format!("expected an A2A object: {error}, found {found}"))
    })
}
