//! Parameters in the query, read as what they are declared to be. What is wrong names the parameter and what was expected; a
//! parameter without a value is as good as none.

use std::borrow::Cow;
use std::fmt;

use protocol::A2aError;
use protocol::binding::http_json::query_pairs;
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Reads a query; parameters nobody knows say nothing.
pub(super) fn read<T: DeserializeOwned>(query: &str) -> Result<T, A2aError> {
    let pairs = query_pairs(query).map(|(name, text)| (name.clone(), Value { name, text }));
    T::deserialize(MapDeserializer::new(pairs))
        .map_err(|wrong: Wrong| protocol::invalid_params(vec![(wrong.parameter, wrong.problem)]))
}

/// A parameter as it stands in the query.
struct Value<'q> {
    name: Cow<'q, str>,
    text: Cow<'q, str>,
}

/// What is wrong with a parameter.
#[derive(Debug)]
struct Wrong {
    parameter: String,
    problem: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.problem)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { parameter: String::new(), problem: problem.to_string() }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { parameter: field.to_owned(), problem: "given twice".to_owned() }
    }
}

impl<'q> IntoDeserializer<'q, Wrong> for Value<'q> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(&self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.text.is_empty() {
            return visitor.visit_none();
        }
        let parameter = self.name.clone().into_owned();
        visitor.visit_some(self).map_err(|wrong: Wrong| Wrong { parameter, ..wrong })
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Ok(number) = self.text.parse() {
            return visitor.visit_u64(number);
        }
        let Self { name, text } = self;
        let problem = format!("expected a whole number, such as {name}=100, found {text:?}");
        Err(Wrong { parameter: name.into_owned(), problem })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use protocol::TaskState;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wanted {
        text: Option<String>,
        number: Option<u64>,
        state: Option<TaskState>,
    }

    fn wrong(query: &str) -> String {
        read::<Wanted>(query).unwrap_err().message
    }

    #[test]
    fn parameters_are_read_as_what_they_are_and_without_a_value_as_none() {
        let read = |query| read::<Wanted>(query).unwrap();
        let none = Wanted { text: None, number: None, state: None };
        assert_eq!(read(""), none);
        assert_eq!(read("text=&number=&state=&more=1"), none);
        let all = Wanted { text: Some("1 2".to_owned()), number: Some(3), state: Some(TaskState::Failed) };
        assert_eq!(read("text=1+2&number=3&state=TASK_STATE_FAILED"), all);
    }

    #[test]
    fn what_is_wrong_names_the_parameter_and_what_was_expected() {
        let number = "Invalid parameters: number: expected a whole number, such as number=100, found ";
        assert_eq!(wrong("number=x"), format!("{number}\"x\""));
        assert_eq!(wrong("number=-1"), format!("{number}\"-1\""));
        assert!(wrong("state=x").starts_with("Invalid parameters: state: expected a task state"));
        assert_eq!(wrong("number=1&number=2"), "Invalid parameters: number: given twice");
    }
}
