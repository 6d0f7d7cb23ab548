//! The messages as the `.proto` files define them, read from the files themselves: nothing of the definition is
//! written a second time, and a field added to the file is a field that travels.
//!
//! The reader knows the part of the language that the files use. What it does not know it would leave out, so a test
//! holds it against the official generated types.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Invalid;

/// How deeply messages may be nested, as protobuf's own implementations have it. An object or a list within `data`
/// or metadata is two or three of them.
pub const MAX_DEPTH: usize = 100;
/// A2A's own definition, unchanged.
const A2A: &str = include_str!("../proto/a2a.proto");
/// The messages of a gRPC status.
const STATUS: &str = include_str!("../proto/status.proto");

/// All messages, read once.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = Schema::default();
    for file in [A2A, STATUS] {
        schema.read(&mut Tokens::of(file));
    }
    schema.tell_enums_from_messages();
    schema
});

/// The messages, enums and methods of some files.
#[derive(Debug, Default)]
pub(super) struct Schema {
    messages: HashMap<&'static str, Vec<Field>>,
    enums: HashMap<&'static str, Vec<(i32, &'static str)>>,
    methods: HashMap<&'static str, (&'static str, &'static str)>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its ProtoJSON name.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) label: Label,
    /// Whether its absence is a fault.
    pub(super) is_required: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Int32,
    Struct,
    Value,
    Timestamp,
    Duration,
    /// An enum of the schema, by its name.
    Enum(&'static str),
    /// A message of the schema, by its name.
    Message(&'static str),
}

/// How often a field holds it, and whether its absence differs from its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Once; the default is absence.
    Plain,
    /// Once or not at all.
    Optional,
    /// Once, and then no other of its message is.
    OneOf,
    /// Any number of times.
    Repeated,
    /// By text keys.
    Map,
}

/// One level further down, while there are levels left.
pub(super) fn deeper(levels: usize) -> Result<usize, Invalid> {
    levels.checked_sub(1).ok_or_else(|| Invalid::new(format!("nested deeper than {MAX_DEPTH} messages")))
}

impl Schema {
    /// The fields of a message.
    pub(super) fn message(&self, name: &str) -> Option<&[Field]> {
        self.messages.get(name).map(Vec::as_slice)
    }

    /// The numbers and names of an enum.
    pub(super) fn enumeration(&self, name: &str) -> Option<&[(i32, &'static str)]> {
        self.enums.get(name).map(Vec::as_slice)
    }

    /// The messages a method takes and answers with.
    pub(super) fn method(&self, name: &str) -> Option<(&'static str, &'static str)> {
        self.methods.get(name).copied()
    }

    /// A field may come before the enum it holds, so this is known only at the end.
    fn tell_enums_from_messages(&mut self) {
        for field in self.messages.values_mut().flatten() {
            if let Kind::Message(name) = field.kind
                && self.enums.contains_key(name)
            {
                field.kind = Kind::Enum(name);
            }
        }
    }

    fn read(&mut self, tokens: &mut Tokens) {
        while let Some(token) = tokens.next() {
            let name = tokens.peek();
            match token {
                "message" => {
                    let fields = read_fields(tokens, Label::Plain);
                    self.messages.insert(name, fields);
                }
                "enum" => {
                    let statements = tokens.block();
                    let value = |statement: &Vec<&'static str>| match statement.as_slice() {
                        [name, "=", number, ..] => Some((number.parse().ok()?, *name)),
                        _ => None,
                    };
                    self.enums.insert(name, statements.iter().filter_map(value).collect());
                }
                "rpc" => {
                    let signature = tokens.until(&["{", ";"]);
                    let named = |pair: &[&'static str]| match pair {
                        [name, ")"] => Some(unqualified(name)),
                        _ => None,
                    };
                    let types: Vec<_> = signature.windows(2).filter_map(named).collect();
                    if let [request, response] = types.as_slice() {
                        self.methods.insert(name, (request, response));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The fields of the block that follows.
fn read_fields(tokens: &mut Tokens, label: Label) -> Vec<Field> {
    tokens.until(&["{"]);
    let mut fields = Vec::new();
    loop {
        match tokens.peek() {
            "" | "}" => {
                tokens.next();
                return fields;
            }
            "oneof" => fields.extend(read_fields(tokens, Label::OneOf)),
            _ => fields.extend(read_field(&tokens.until(&[";"]), label)),
        }
    }
}

fn read_field(statement: &[&'static str], label: Label) -> Option<Field> {
    let (label, kind, name, number) = match statement {
        ["map", "<", "string", ",", kind, ">", name, "=", number, ..] => (Label::Map, kind, name, number),
        ["repeated", kind, name, "=", number, ..] => (Label::Repeated, kind, name, number),
        ["optional", kind, name, "=", number, ..] => (Label::Optional, kind, name, number),
        [kind, name, "=", number, ..] => (label, kind, name, number),
        _ => return None,
    };
    let kind = match unqualified(kind) {
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "bool" => Kind::Bool,
        "int32" => Kind::Int32,
        "Struct" => Kind::Struct,
        "Value" => Kind::Value,
        "Timestamp" => Kind::Timestamp,
        "Duration" => Kind::Duration,
        named => Kind::Message(named),
    };
    let is_required = statement.contains(&"REQUIRED");
    Some(Field { number: number.parse().ok()?, name: json_name(name), kind, label, is_required })
}

fn unqualified(name: &'static str) -> &'static str {
    name.rsplit('.').next().unwrap_or(name)
}

/// `lowerCamelCase`, as ProtoJSON names fields.
fn json_name(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The tokens of a file, its comments left out.
struct Tokens(std::iter::Peekable<std::vec::IntoIter<&'static str>>);

impl Tokens {
    fn of(file: &'static str) -> Self {
        let is_mark = |c: char| "{}[]()<>=;,".contains(c);
        let mut tokens = Vec::new();
        for line in file.lines() {
            let code = line.split("//").next().unwrap_or_default();
            for word in code.split_whitespace() {
                tokens.extend(word.split_inclusive(is_mark).flat_map(|piece| {
                    let (before, mark) = piece.split_at(piece.len() - usize::from(piece.ends_with(is_mark)));
                    [before, mark].into_iter().filter(|token| !token.is_empty())
                }));
            }
        }
        Self(tokens.into_iter().peekable())
    }

    fn next(&mut self) -> Option<&'static str> {
        self.0.next()
    }

    /// The next token, empty at the end.
    fn peek(&mut self) -> &'static str {
        self.0.peek().copied().unwrap_or_default()
    }

    /// What comes before any of these tokens, which is taken off too.
    fn until(&mut self, ends: &[&str]) -> Vec<&'static str> {
        let mut taken = Vec::new();
        while let Some(token) = self.next().filter(|token| !ends.contains(token)) {
            taken.push(token);
        }
        taken
    }

    /// The statements of the block that follows.
    fn block(&mut self) -> Vec<Vec<&'static str>> {
        self.until(&["{"]);
        let body = self.until(&["}"]);
        body.split(|token| *token == ";").map(<[_]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn nothing_of_the_files_is_left_out() {
        let count = |what: &str| {
            [A2A, STATUS].iter().flat_map(|file| file.lines()).filter(|line| line.starts_with(what)).count()
        };
        assert_eq!(SCHEMA.messages.len(), count("message "));
        assert_eq!(SCHEMA.enums.len(), count("enum "));
        for file in [A2A, STATUS] {
            let code = file.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
            for line in
                code.filter(|line| line.contains(" = ") && !line.contains('"') && !line.starts_with("option"))
            {
                let name = line
                    .split(" = ")
                    .next()
                    .and_then(|before| before.split(' ').next_back())
                    .unwrap_or_default();
                let is_field = SCHEMA.messages.values().flatten().any(|field| field.name == json_name(name));
                let is_value = SCHEMA.enums.values().flatten().any(|(_, value)| *value == name);
                assert!(is_field || is_value, "{line}");
            }
        }
        let required = SCHEMA.messages.values().flatten().filter(|field| field.is_required).count();
        assert_eq!(required, A2A.matches("= REQUIRED").count());
    }

    #[test]
    fn every_name_leads_to_its_message() {
        for field in SCHEMA.messages.values().flatten() {
            if let Kind::Message(name) = field.kind {
                assert!(SCHEMA.message(name).is_some(), "{}: {name}", field.name);
            }
        }
        for operation in Operation::ALL {
            let (request, response) = SCHEMA.method(operation.method()).unwrap_or_default();
            assert!(SCHEMA.message(request).is_some() && SCHEMA.message(response).is_some(), "{operation:?}");
        }
    }
}
