//! The operator API in one table: what can be asked for, at which path, what it takes, how it answers and what can go wrong.
//! Requests are routed and answered by it, and the OpenAPI document is made of it, so that neither can say what the other
//! does not.

use protocol::binding::http_json::percent_decode;
use protocol::{A2aError, ErrorKind};

use super::exchange::{
    Archive, Body, Created, EventStream, Input, Json, JsonLines, NoContent, Optional, Output, Query,
};
use super::openapi::Description;
use super::{
    Answered, Call, agents, audit, backup, broker, dead_letters, events, keys, quotas, refusals, selection,
    tasks, trees,
};
use crate::northbound::reply;
use crate::service::{
    AdviceWanted, AgentView, Introduction, LogPage, NewAgent, Probed, RefusalsPage, Selected, TasksPage,
    TreesPage,
};

/// Rows: what it is for; `Name: METHOD "path" (names in the path; argument: input) => output, [what can go wrong beside what
/// can everywhere] = how it is done;`.
macro_rules! endpoints {
    (call = $call:ident; $(
        $(#[doc = $doc:literal])+
        $name:ident: $method:ident $path:literal ($($part:ident),* $(; $argument:ident: $input:ty)?)
            => $output:ty, [$($failure:ident),*] = $done:expr;
    )*) => {
        /// What can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::northbound) enum Endpoint { $($(#[doc = $doc])+ $name,)* }

        impl Endpoint {
            /// All of them, in the order of the document.
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The HTTP method.
            pub(super) fn method(self) -> &'static str {
                match self { $(Self::$name => stringify!($method),)* }
            }

            /// Its path below `/api/v1`, as a template.
            pub(super) fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// What it is for, a line after another.
            pub(super) fn lines(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($doc),+],)* }
            }

            /// What can go wrong beside what can everywhere.
            pub(super) fn failures(self) -> &'static [ErrorKind] {
                match self { $(Self::$name => &[$(ErrorKind::$failure),*],)* }
            }

            /// Says what it takes and how it answers.
            pub(super) fn describe(self, description: &mut Description<'_>) {
                match self { $(Self::$name => {
                    $(<$input as Input>::describe(description);)?
                    <$output as Output>::describe(description);
                })* }
            }

            /// Does it, with what its path names.
            pub(super) async fn perform(self, $call: &Call<'_>, names: &[String]) -> Answered {
                match (self, names) {
                    $((Self::$name, [$($part),*]) => {
                        $(let $argument = <$input as Input>::take($call)?;)?
                        let output: Result<$output, A2aError> = $done;
                        Ok(output?.respond())
                    })*
                    _ => Ok(reply::not_found()),
                }
            }
        }
    };
}

endpoints! { call = call;
    /// Describes this API.
    /// This document, made by the broker that answers.
    ShowDocument: GET "/openapi.json" () => Json<serde_json::Value>, [] = Ok(Json(super::openapi::document(call.broker)));

    /// Says who is asking.
    ShowCaller: GET "/whoami" () => Json<Introduction>, [] = Ok(Json(call.broker.introduce(&call.caller)));
    /// Shows how the broker does.
    /// Its store, its agents, what it works on and for how many. For operators.
    ShowHealth: GET "/health" () => Json<broker::Health>, [PermissionDenied] = broker::health(call).await;
    /// Shows the configuration that is in effect.
    /// Defaults, file, environment and flags together, in the layout of the file. Secrets are left out. For operators.
    ShowConfiguration: GET "/config" () => Json<broker::Configuration>, [PermissionDenied]
        = broker::configuration(call);
    /// Backs the broker up.
    /// All that it keeps as one file, the keys that sign grants too, while it works. A file that has no good end is
    /// none; `bailiwick backup` checks that. For operators.
    BackUp: POST "/backup" () => Archive, [PermissionDenied, UnsupportedOperation, ResourceExhausted] = backup::stream(call);

    /// Lists the registered agents, by name.
    ListAgents: GET "/agents" () => Json<agents::Agents>, [] = Ok(Json(agents::list(call)));
    /// Registers an agent, or replaces its registration.
    /// Its card is fetched first. For operators.
    RegisterAgent: POST "/agents" (; new: Body<NewAgent>)
        => Created<AgentView>, [PermissionDenied, UnsupportedOperation, InvalidAgentResponse, BadGateway]
        = agents::register(call, new.0).await;
    /// Shows an agent.
    ShowAgent: GET "/agents/{name}" (name) => Json<AgentView>, [NotFound] = agents::show(call, name);
    /// Forgets an agent.
    /// Tasks it works on go on. For operators.
    RemoveAgent: DELETE "/agents/{name}" (name) => NoContent, [PermissionDenied, NotFound]
        = agents::remove(call, name).await;
    /// Accepts the card of an agent that waits.
    /// Cards that claim more than the one in use wait for this. For operators.
    AcceptCard: POST "/agents/{name}/accept" (name; accepted: Optional<agents::Acceptance>)
        => Json<AgentView>, [PermissionDenied, NotFound, UnsupportedOperation]
        = agents::accept_card(call, name, accepted.0).await;
    /// Sends an agent one real message.
    /// It can cost money. For operators.
    ProbeAgent: POST "/agents/{name}/probe" (name; probe: Optional<agents::Probe>)
        => Json<Probed>, [PermissionDenied, NotFound] = agents::probe(call, name, probe.0).await;
    /// Lists what agents' cards lack to be found well.
    LintCards: GET "/cards/lint" () => Json<selection::Findings>, [] = Ok(Json(selection::lint(call)));

    /// Lists trees, the newest first.
    ListTrees: GET "/trees" (; wanted: Query<trees::Wanted>) => Json<TreesPage>, [PermissionDenied]
        = trees::list(call, wanted.0).await;
    /// Lists tasks one by one, those first whose status changed last.
    ListTasks: GET "/tasks" (; wanted: Query<tasks::Wanted>) => Json<TasksPage>, [PermissionDenied]
        = tasks::list(call, wanted.0).await;
    /// Shows the tree below a task.
    /// Whole, or what of it has changed since it held so many records.
    ShowTree: GET "/tasks/{id}/tree" (id; wanted: Query<tasks::Since>) => Json<tasks::Shown>, [TaskNotFound]
        = tasks::tree(call, id, wanted.0).await;
    /// Shows the journal of what is below a task, in words.
    ShowLog: GET "/tasks/{id}/log" (id; wanted: Query<trees::LogWanted>) => Json<LogPage>, [TaskNotFound]
        = trees::log(call, id, wanted.0).await;
    /// Revokes the grants of a task and of all below it.
    RevokeTask: POST "/tasks/{id}/revoke" (id)
        => Json<tasks::Revoked>, [PermissionDenied, TaskNotFound, UnsupportedOperation] = tasks::revoke(call, id).await;
    /// Lists tasks that wait for approval.
    ListApprovals: GET "/approvals" () => Json<tasks::Approvals>, [PermissionDenied] = tasks::approvals(call).await;
    /// Grants a task what it waits for approval of.
    ApproveTask: POST "/tasks/{id}/approve" (id)
        => Json<tasks::Decided>, [PermissionDenied, TaskNotFound, UnsupportedOperation, ResourceExhausted]
        = tasks::decide(call, id, true).await;
    /// Denies a task what it waits for approval of.
    DenyTask: POST "/tasks/{id}/deny" (id)
        => Json<tasks::Decided>, [PermissionDenied, TaskNotFound, UnsupportedOperation]
        = tasks::decide(call, id, false).await;
    /// Decides about a task whose outcome is unknown.
    /// For operators.
    ResolveTask: POST "/tasks/{id}/resolve" (id; resolved: Body<tasks::Resolving>)
        => Json<tasks::Outcome>, [PermissionDenied, TaskNotFound, UnsupportedOperation]
        = tasks::resolve(call, id, resolved.0).await;
    /// Tells what happens in trees, as it happens.
    /// An event stream. It begins with `event: ready`; then each event's data is a `Happening`, a hint that a task has
    /// changed; `event: reset` says that some were missed. Comments are signs of life.
    WatchTrees: GET "/events" (; wanted: Query<events::Wanted>)
        => EventStream, [PermissionDenied, TaskNotFound, ResourceExhausted] = events::stream(call, wanted.0).await;
    /// Lists what was refused, the newest first.
    ListRefusals: GET "/refusals" (; wanted: Query<refusals::Wanted>)
        => Json<RefusalsPage>, [PermissionDenied, TaskNotFound] = refusals::list(call, wanted.0).await;
    /// Shows who may use how much, and how much of it is gone.
    /// To operators everybody and every agent, to others themselves and their account.
    ListQuotas: GET "/quotas" () => Json<quotas::Quotas>, [] = Ok(Json(quotas::list(call)));

    /// Says whom a request is for.
    /// Begins nothing.
    Select: POST "/select" (; asked: Body<selection::Asked>) => Json<Selected>, [ResourceExhausted]
        = selection::select(call, asked.0).await;
    /// Advises an agent that is unsure of its next step.
    /// To go on, to think again, or to delegate, and to whom. Begins nothing.
    Advise: POST "/advise" (; wanted: Body<AdviceWanted>) => Json<selection::Advice>, [ResourceExhausted]
        = selection::advise(call, wanted.0).await;

    /// Reads the audit log.
    /// As it was sealed, byte for byte; the last page ends with the head line, without one there is more. For operators.
    ReadAudit: GET "/audit" (; wanted: Query<audit::Wanted>) => JsonLines, [PermissionDenied]
        = audit::page(call, wanted.0).await;
    /// Lists the keys that grants are signed with.
    /// For operators.
    ListKeys: GET "/keys" () => Json<keys::Keys>, [PermissionDenied] = keys::list(call);
    /// Lets the next key for grants follow.
    /// For operators.
    RotateKeys: POST "/keys/rotate" (; rotation: Optional<keys::Rotation>) => Json<keys::Keys>, [PermissionDenied]
        = keys::rotate(call, rotation.0).await;
    /// Lists the keys that cards are signed with.
    /// For operators.
    ListCardKeys: GET "/card-keys" () => Json<keys::Keys>, [PermissionDenied] = keys::list_card_keys(call);
    /// Lets the next key for cards follow.
    /// For operators.
    RotateCardKeys: POST "/card-keys/rotate" (; rotation: Optional<keys::Rotation>)
        => Json<keys::Keys>, [PermissionDenied] = keys::rotate_card_keys(call, rotation.0).await;
    /// Lists receivers of push notifications that were given up.
    /// For operators.
    ListDeadLetters: GET "/push/dead-letters" () => Json<dead_letters::DeadLetters>, [PermissionDenied]
        = dead_letters::list(call).await;
    /// Takes such a receiver up again.
    /// What it did not get is sent. For operators.
    RetryDeadLetter: POST "/push/dead-letters/{task}/{config}/retry" (task, config)
        => Json<dead_letters::Retried>, [PermissionDenied, NotFound] = dead_letters::retry(call, task, config).await;
}

/// What a path of the operator API leads to: what can be done there, and what the path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::northbound) struct Resource {
    pub(in crate::northbound) endpoints: Vec<Endpoint>,
    pub(in crate::northbound) names: Vec<String>,
}

/// Finds what the segments after `/api/v1` lead to.
pub(in crate::northbound) fn route(segments: &[&str]) -> Option<Resource> {
    let endpoints: Vec<Endpoint> = Endpoint::ALL.iter().copied().filter(|one| one.fits(segments)).collect();
    let template = endpoints.first()?.template();
    let standing = template.zip(segments).filter(|(part, _)| is_name(part));
    let names = standing.map(|(_, segment)| percent_decode(segment).into_owned()).collect();
    Some(Resource { endpoints, names })
}

impl Resource {
    /// What a method does here.
    pub(super) fn by_method(&self, method: &str) -> Option<Endpoint> {
        self.endpoints.iter().copied().find(|one| one.method() == method)
    }

    /// The methods it answers.
    pub(super) fn allow(&self) -> String {
        self.endpoints.iter().map(|one| one.method()).collect::<Vec<_>>().join(", ")
    }
}

impl Endpoint {
    fn template(self) -> impl Iterator<Item = &'static str> {
        self.path().split('/').skip(1)
    }

    fn fits(self, segments: &[&str]) -> bool {
        let fits = |(part, segment): (&str, &&str)| is_name(part) || part == *segment;
        self.template().count() == segments.len() && self.template().zip(segments).all(fits)
    }
}

/// Whether a part of a template stands for a name.
fn is_name(part: &str) -> bool {
    part.starts_with('{')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_leads_to_its_own_row_and_names_what_stands_in_it() {
        for &endpoint in Endpoint::ALL {
            let segments: Vec<&str> = endpoint.template().map(|part| part.trim_matches(['{', '}'])).collect();
            let resource = route(&segments).unwrap();
            assert_eq!(resource.by_method(endpoint.method()), Some(endpoint), "{}", endpoint.path());
            let paths: BTreeSet<_> = resource.endpoints.iter().map(|one| one.path()).collect();
            assert_eq!(paths.len(), 1, "{paths:?} cannot be told apart");
            let names: Vec<_> = endpoint.template().filter(|part| is_name(part)).collect();
            let expected: Vec<_> = names.iter().map(|part| part.trim_matches(['{', '}'])).collect();
            assert_eq!(resource.names, expected);
        }
    }

    #[test]
    fn what_a_path_names_is_decoded_and_what_is_not_there_is_not_found() {
        assert_eq!(route(&["agents", "a%2Fb"]).unwrap().names, ["a/b"]);
        assert_eq!(route(&["agents"]).unwrap().allow(), "GET, POST");
        for nothing in [&["nothing"][..], &[], &["agents", "a", "b"], &["keys", "a"]] {
            assert_eq!(route(nothing), None);
        }
    }
}
