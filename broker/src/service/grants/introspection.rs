//! Looking at a grant (RFC 7662) and ending it (RFC 7009).

use std::sync::Arc;

use broker_core::delegation::input::Input;
use capability::{Claims, GrantError, Possession, inspect};
use protocol::A2aError;
use serde_json::{Value, json};

use super::{Grants, OAuthCode, OAuthError, SentProof};
use crate::service::driver::Reserved;
use crate::service::{Broker, Caller, Target, error as told};

impl Broker {
    /// What a grant says while it is good, for whomever it is; `{"active": false}` for everything else, whatever
    /// the reason.
    pub async fn introspect(&self, _caller: &Caller, token: &str) -> Result<Value, A2aError> {
        let inactive = json!({ "active": false });
        let Ok(claims) = self.grants.look(token) else { return Ok(inactive) };
        if self.live(&claims).await?.is_none() {
            return Ok(inactive);
        }
        let mut said = claims.to_json();
        if let Some(members) = said.as_object_mut() {
            let token_type = if claims.confirmation.is_some() { "DPoP" } else { "Bearer" };
            members.insert("active".to_owned(), json!(true));
            members.insert("token_type".to_owned(), json!(token_type));
        }
        Ok(said)
    }

    /// The holder of a grant gives it up, and with it every grant of its task and of what is below. What is no good
    /// any more needs no revoking (RFC 7009 §2.2).
    pub async fn revoke_grant(
        self: &Arc<Self>,
        token: &str,
        proof: Option<&SentProof>,
    ) -> Result<(), OAuthError> {
        let proof = proof.map(|sent| self.grants.judge_proof(sent, None)).transpose();
        let proof = proof.map_err(|error| OAuthError::new(OAuthCode::InvalidDpopProof, error.to_string()))?;
        let claims = match self.grants.verify(token, proof.as_ref()) {
            Ok(claims) => claims,
            Err(error @ (GrantError::ProofMissing | GrantError::WrongProof)) => {
                return Err(OAuthError::new(OAuthCode::InvalidDpopProof, error.to_string()));
            }
            Err(GrantError::WrongAudience) => {
                let problem =
                    "a tool's grant ends with its task or within 15 minutes; revoke the agent's own grant";
                return Err(OAuthError::new(OAuthCode::UnsupportedTokenType, problem));
            }
            Err(_) => return Ok(()),
        };
        if let Some(live) = self.live(&claims).await? {
            let by = format!("its holder {}", claims.holder);
            let revoked =
                self.drive_cell(live.cell, Input::Revoke { task: live.task, by }, Reserved::default()).await;
            revoked.map_err(A2aError::from)?;
            self.tell_of_revocation(live.root).await;
        }
        Ok(())
    }

    /// Whoever may cancel a task may revoke the grants of it and of everything below, and let what was begun go on.
    pub async fn revoke_task(self: &Arc<Self>, caller: &Caller, id: &str) -> Result<(), A2aError> {
        let (cell, task) = self.find_readable(caller, &Target::Any, id).await?;
        if !caller.may_steer(&*cell.tree.lock().await, task) {
            return Err(told::task_not_found());
        }
        let by = caller.display_name();
        let root = cell.tree.lock().await.root();
        self.drive_cell(cell, Input::Revoke { task, by }, Reserved::default()).await?;
        self.tell_of_revocation(root).await;
        Ok(())
    }
}

impl Grants {
    /// Verifies a grant of this broker for whatever audience, to look at and not to use.
    fn look(&self, token: &str) -> Result<Arc<Claims>, GrantError> {
        let named = inspect(token)?.claims.audience;
        let expected = self.expected(&named, Possession::Inspected);
        self.verified.verify(token, self.ring().published(), &expected)
    }
}
