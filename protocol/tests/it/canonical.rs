//! RFC 8785: its own vectors, and what has to hold of every value.

use proptest::prelude::*;
use protocol::canonicalize;
use serde_json::Value;
use serde_json::value::RawValue;

fn canonical(json: &str) -> Result<String, String> {
    let raw = RawValue::from_string(json.to_owned()).map_err(|error| error.to_string())?;
    canonicalize(&raw).map_err(|invalid| invalid.to_string())
}

/// RFC 8785, appendix B.
#[test]
fn numbers_are_written_as_ecmascript_writes_them() {
    let table: [(u64, &str); 24] = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, written) in table {
        let number = f64::from_bits(bits);
        assert_eq!(canonical(&format!("{number:e}")).unwrap(), written, "{bits:016x}");
        assert_eq!(canonical(&format!("[{number:e}]")).unwrap(), format!("[{written}]"));
    }
    for infinite in ["1e309", "-1e400"] {
        assert!(canonical(infinite).unwrap_err().contains("64-bit float"));
    }
}

/// RFC 8785 §3.2.2 and §3.2.3.
#[test]
fn the_examples_of_the_rfc_come_out_as_it_has_them() {
    let primitives = r#"{
       "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
       "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
       "literals": [null, true, false]
     }"#;
    let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(canonical(primitives).unwrap(), expected);
    let members = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
    let written: Value = serde_json::from_str(&canonical(members).unwrap()).unwrap();
    let order: Vec<&str> = [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]
    .into();
    let text = canonical(members).unwrap();
    let places: Vec<_> = order.iter().map(|value| text.find(value).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    assert_eq!(written.as_object().unwrap().len(), order.len());
}

#[test]
fn what_has_no_one_meaning_has_no_canonical_form() {
    for json in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"a":1}}"#, r#""\ud800""#] {
        assert!(canonical(json).is_err(), "{json}");
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(canonical(&deep).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("JSON has no infinity", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value without its numbers, which serde_json reads to within a last digit only.
fn numberless(value: &Value) -> Value {
    match value {
        Value::Number(_) => Value::from(0),
        Value::Array(items) => items.iter().map(numberless).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), numberless(value))).collect())
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn every_number_leads_back_to_itself(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let written = canonical(&format!("{number:e}")).unwrap();
        prop_assert!((written.parse::<f64>().unwrap() - number).abs() == 0.0, "{written}");
        prop_assert_eq!(canonical(&written).unwrap(), written);
    }

    #[test]
    fn the_form_means_the_same_and_is_a_fixed_point(value in any_json()) {
        let written = canonical(&value.to_string()).unwrap();
        prop_assert_eq!(canonical(&written).unwrap(), written.clone());
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(canonical(&pretty).unwrap(), written.clone(), "white space changes nothing");
        let again: Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(numberless(&again), numberless(&value));
    }
}
