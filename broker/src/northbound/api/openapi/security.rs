//! What callers prove themselves with, in the words of OpenAPI; what that is, the broker's card says.

use serde_json::{Map, Value, json};

/// `security`: any one of the schemes is enough.
pub(super) fn requirements(schemes: &[(String, Value)]) -> Value {
    schemes.iter().map(|(name, _)| json!({ name.as_str(): [] })).collect()
}

/// `securitySchemes`, by name.
pub(super) fn schemes(schemes: &[(String, Value)]) -> Map<String, Value> {
    schemes.iter().filter_map(|(name, scheme)| Some((name.clone(), translate(scheme)?))).collect()
}

/// A scheme of a card (A2A, section 4.5) as OpenAPI has it.
fn translate(scheme: &Value) -> Option<Value> {
    let (kind, scheme) = scheme.as_object()?.iter().next()?;
    let about = &scheme["description"];
    Some(match kind.as_str() {
        "httpAuthSecurityScheme" => {
            let name = scheme["scheme"].as_str()?.to_ascii_lowercase();
            json!({ "type": "http", "scheme": name, "description": about })
        }
        "apiKeySecurityScheme" => {
            json!({ "type": "apiKey", "in": scheme["location"], "name": scheme["name"], "description": about })
        }
        "openIdConnectSecurityScheme" => {
            json!({ "type": "openIdConnect", "openIdConnectUrl": scheme["openIdConnectUrl"], "description": about })
        }
        "mtlsSecurityScheme" => json!({ "type": "mutualTLS", "description": about }),
        _ => return None,
    })
}
