//! The token endpoints: `/token` (RFC 8693), `/introspect` (RFC 7662) and `/revoke` (RFC 7009). Forms in, JSON out,
//! nothing kept by anybody on the way.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use protocol::A2aError;
use protocol::binding::http_json::query_pairs;
use serde_json::{Value, json};

use super::credential::sent_proof;
use super::operations::Context;
use super::reply::{self, Body};
use super::route::TokenEndpoint;
use crate::service::{Credential, Issued, OAuthCode, OAuthError, TokenRequest};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Serves one call of a token endpoint.
pub(super) async fn serve(
    context: &Context,
    endpoint: TokenEndpoint,
    head: &Parts,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Response<Body> {
    let answered = match endpoint {
        TokenEndpoint::Token => token(context, head, credential, sent).await,
        TokenEndpoint::Introspect => introspect(context, head, credential, sent).await,
        TokenEndpoint::Revoke => revoke(context, head, credential, sent).await,
    };
    let mut response = match answered {
        Ok(body) => reply::json(StatusCode::OK, JSON, &body),
        Err(error) => refuse(&error),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn token(
    context: &Context,
    head: &Parts,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Result<Value, OAuthError> {
    let mut form = Form::read(head, sent)?;
    let grant_type = form.required("grant_type")?;
    if grant_type != TOKEN_EXCHANGE {
        let problem = format!("only token exchange is offered here; send grant_type={TOKEN_EXCHANGE}");
        return Err(OAuthError::new(OAuthCode::UnsupportedGrantType, problem));
    }
    check_own_credential(context, credential).await?;
    form.token_type("subject_token_type", true)?;
    form.token_type("requested_token_type", false)?;
    for (name, next) in [
        ("actor_token", "the holder of the grant is the actor"),
        ("audience", "name the tool by its URL as resource"),
    ] {
        if form.take(name).is_some() {
            return Err(invalid_request(format!("{name} is not supported; leave it out: {next}")));
        }
    }
    let request = TokenRequest {
        subject_token: form.required("subject_token")?,
        scope: form.take("scope"),
        authorization_details: form.take("authorization_details"),
        resource: form.take("resource"),
        proof: sent_proof(head),
    };
    context.broker.exchange(&request).await.map(|issued| issued_json(&issued))
}

fn issued_json(issued: &Issued) -> Value {
    json!({
        "access_token": issued.token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": if issued.bound { "DPoP" } else { "Bearer" },
        "expires_in": issued.expires_in,
        "scope": issued.scope.texts().join(" "),
        "authorization_details": issued.details(),
    })
}

/// The caller must prove who it is: else anybody could try tokens here (RFC 7662 §4).
async fn introspect(
    context: &Context,
    head: &Parts,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Result<Value, OAuthError> {
    let caller = context.broker.authenticate(credential).await?;
    let mut form = Form::read(head, sent)?;
    Ok(context.broker.introspect(&caller, &form.required("token")?).await?)
}

async fn revoke(
    context: &Context,
    head: &Parts,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Result<Value, OAuthError> {
    check_own_credential(context, credential).await?;
    let mut form = Form::read(head, sent)?;
    let proof = sent_proof(head);
    context.broker.revoke_grant(&form.required("token")?, proof.as_ref()).await.map(|()| json!({}))
}

/// The token in the form is proof enough; a credential beside it is judged all the same, never passed over.
async fn check_own_credential(context: &Context, credential: Option<&Credential>) -> Result<(), OAuthError> {
    if credential.is_some() {
        context.broker.authenticate(credential).await?;
    }
    Ok(())
}

/// A form in which no parameter stands twice (RFC 6749 §3.2).
struct Form(BTreeMap<String, String>);

impl Form {
    fn read(head: &Parts, sent: Result<Bytes, A2aError>) -> Result<Self, OAuthError> {
        let given = reply::header(&head.headers, CONTENT_TYPE).unwrap_or_default();
        if !given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
            return Err(invalid_request(format!("expected a body of type {FORM}")));
        }
        let body = sent?;
        let text =
            std::str::from_utf8(&body).map_err(|_| invalid_request("the body is not UTF-8".to_owned()))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in query_pairs(text) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                let code =
                    if name == "resource" { OAuthCode::InvalidTarget } else { OAuthCode::InvalidRequest };
                return Err(OAuthError::new(code, format!("{name} stands there twice; send it once")));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter. One that is empty counts as left out (RFC 6749 §3.2).
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> Result<String, OAuthError> {
        self.take(name).ok_or_else(|| invalid_request(format!("{name} is missing")))
    }

    fn token_type(&mut self, name: &str, required: bool) -> Result<(), OAuthError> {
        match self.take(name) {
            None if !required => Ok(()),
            Some(known) if [ACCESS_TOKEN, JWT].contains(&known.as_str()) => Ok(()),
            _ => Err(invalid_request(format!("{name}: expected {ACCESS_TOKEN} or {JWT}"))),
        }
    }
}

fn invalid_request(problem: String) -> OAuthError {
    OAuthError::new(OAuthCode::InvalidRequest, problem)
}

fn refuse(error: &OAuthError) -> Response<Body> {
    let status = match error.code {
        OAuthCode::InvalidClient => StatusCode::UNAUTHORIZED,
        OAuthCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    // The characters RFC 6749 §5.2 allows.
    let plain = |c: char| match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    let description: String = error.description.chars().map(plain).collect();
    let body = json!({ "error": error.code.as_str(), "error_description": description });
    let mut response = reply::json(status, JSON, &body);
    if status == StatusCode::UNAUTHORIZED {
        reply::challenge(response.headers_mut(), Some(&error.description));
    }
    response
}
