//! What a request would have the tool do, as a capability would have to admit it.

use std::fmt::Write;

use capability::{Arg, Capability, Request, Scope};

/// A resource and named arguments, all of them values of the request. A constraint of the grant on an argument that
/// is not named here admits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    space: String,
    kind: String,
    path: Vec<String>,
    args: Vec<(String, Value)>,
    recent: Option<Vec<u64>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Int(u64),
    Text(String),
    Path(Vec<String>),
    Host(Vec<String>),
}

impl Requested {
    /// A resource, such as `("mcp", "tool", ["search"])`; segments as they are, not escaped.
    pub fn new<S: Into<String>>(space: &str, kind: &str, path: impl IntoIterator<Item = S>) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { space: space.to_owned(), kind: kind.to_owned(), path, args: Vec::new(), recent: None }
    }

    /// With a number; money in millionths.
    #[must_use]
    pub fn int(self, name: &str, value: u64) -> Self {
        self.with(name, Value::Int(value))
    }

    /// With a word.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Value::Text(value.to_owned()))
    }

    /// With a path; a leading `/` does not matter. What holds `.`, `..` or empty segments is admitted by nothing.
    #[must_use]
    pub fn path(self, name: &str, value: &str) -> Self {
        let segments = value.strip_prefix('/').unwrap_or(value).split('/').map(ToOwned::to_owned).collect();
        self.with(name, Value::Path(segments))
    }

    /// With a host name.
    #[must_use]
    pub fn host(self, name: &str, value: &str) -> Self {
        let labels = value.rsplit('.').map(str::to_ascii_lowercase).collect();
        self.with(name, Value::Host(labels))
    }

    /// With the times this was done before under the same grant's task, in seconds since the epoch. Without them a
    /// capability with a rate admits nothing: nobody would keep to it.
    #[must_use]
    pub fn done_at(mut self, times: Vec<u64>) -> Self {
        self.recent = Some(times);
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.args.push((name.to_owned(), value));
        self
    }

    /// Whether a scope admits it now, in seconds since the epoch. Ambiguous paths and arguments named twice are admitted by none.
    pub fn is_admitted_by(&self, scope: &Scope, now: u64) -> bool {
        let lists: Vec<(&str, Vec<&str>)> =
            self.args.iter().map(|(name, value)| (name.as_str(), value.segments())).collect();
        let plain = |segments: &[&str]| segments.iter().all(|one| !matches!(*one, "" | "." | ".."));
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let unique = self
            .args
            .iter()
            .enumerate()
            .all(|(at, (name, _))| self.args.iter().skip(at + 1).all(|(other, _)| other != name));
        if !unique || !plain(&path) || !lists.iter().all(|(_, segments)| plain(segments)) {
            return false;
        }
        let args: Vec<(&str, Arg<'_>)> = self
            .args
            .iter()
            .zip(&lists)
            .map(|((name, value), (_, segments))| {
                let value = match value {
                    Value::Int(number) => Arg::Int(*number),
                    Value::Text(text) => Arg::Text(text),
                    Value::Path(_) => Arg::Path(segments),
                    Value::Host(_) => Arg::Host(segments),
                };
                (name.as_str(), value)
            })
            .collect();
        let request = Request {
            space: &self.space,
            kind: &self.kind,
            path: &path,
            args: &args,
            time: now,
            hop: 0,
            recent: self.recent.as_deref().unwrap_or_default(),
        };
        let is_counted = |one: &Capability| self.recent.is_some() || !Scope::of([one.clone()]).has_rates();
        scope.iter().any(|one| is_counted(one) && one.admits(&request))
    }

    /// The resource as a scope-token, for the challenge that names what is missing.
    pub(crate) fn token(&self) -> String {
        let mut token = format!("{}:{}", self.space, self.kind);
        for segment in &self.path {
            token.push('/');
            for byte in segment.bytes() {
                match byte {
                    b'A'..=b'Z'
                    | b'a'..=b'z'
                    | b'0'..=b'9'
                    | b'.'
                    | b'_'
                    | b'~'
                    | b':'
                    | b'@'
                    | b'+'
                    | b'-' => {
                        token.push(char::from(byte));
                    }
                    _ => {
                        let _ = write!(token, "%{byte:02X}");
                    }
                }
            }
        }
        token
    }
}

impl Value {
    fn segments(&self) -> Vec<&str> {
        match self {
            Self::Path(segments) | Self::Host(segments) => segments.iter().map(String::as_str).collect(),
            Self::Int(_) | Self::Text(_) => Vec::new(),
        }
    }
}
