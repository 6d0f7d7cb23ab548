//! What one adversary does, and what it must not get for it.

use std::sync::Arc;

use conformance_tests::{jwt, wire};
use serde_json::{Value, json};

use super::Dice;
use super::fleet::{EXTENSION, Fleet, Held, budget, message};
use crate::delegation::grants::exchange;

pub(super) struct Adversary {
    fleet: Arc<Fleet>,
    number: u64,
    said: u32,
    dice: Dice,
}

impl Adversary {
    pub(super) fn new(fleet: Arc<Fleet>, number: u64, dice: Dice) -> Self {
        Self { fleet, number, said: 0, dice }
    }

    pub(super) async fn act(&mut self) {
        let me = self.dice.pick(&self.fleet.alices.clone()).clone();
        match self.dice.below(10) {
            0 | 1 => self.forge(&me).await,
            2 => self.lie_about_lineage(&me).await,
            3 => self.reach_for_more(&me).await,
            4 => self.narrow_and_use_for_more(&me).await,
            5 => self.name_foreign_tasks(&me).await,
            6 => self.replay(&me).await,
            7 => self.meddle_with_grants(&me).await,
            8 => self.race().await,
            _ => self.peep().await,
        }
    }

    fn id(&mut self) -> String {
        self.said += 1;
        format!("a{}-{}", self.number, self.said)
    }

    /// Whom a task may have work for it.
    fn subordinate(&mut self, of: &Held) -> &'static str {
        let known: &[&'static str] = match of.agent.as_str() {
            "top" => &["side", "end", "low"],
            "mid" => &["side", "end"],
            _ => &["end"],
        };
        known[self.dice.below(known.len())]
    }

    /// A short task; its agent reports a cost, true or not.
    fn script(&mut self) -> Value {
        let usd = *self.dice.pick(&["0.00", "0.01", "99.00"]);
        if self.dice.below(3) == 0 {
            json!({})
        } else {
            json!({ "cost": { "usd": usd, "calls": self.dice.below(4) } })
        }
    }

    /// Sends, and checks that what came of it stands below the task whose grant was used.
    async fn send(&mut self, me: &Held, grant: &str, agent: &str, params: Value) -> Value {
        let answer = self.fleet.call(grant, agent, "SendMessage", params).await;
        if let Some(told) = answer["result"]["task"]["metadata"].get(EXTENSION) {
            assert_eq!(told["parent"], me.task, "{answer}");
            assert_eq!(told["root"], me.root, "{answer}");
            assert_eq!(told["depth"], me.depth + 1, "{answer}");
        }
        answer
    }

    fn tampered(&mut self, grant: &str) -> String {
        let parts: Vec<&str> = grant.split('.').collect();
        let other = self.dice.pick(&[&self.fleet.bobs, &self.fleet.dead]).grant.clone();
        let foreign: Vec<&str> = other.split('.').collect();
        match self.dice.below(6) {
            0 => {
                let mut bytes = grant.as_bytes().to_vec();
                let at = self.dice.below(bytes.len());
                bytes[at] = match bytes[at] {
                    b'.' | b'A' => b'B',
                    _ => b'A',
                };
                String::from_utf8(bytes).unwrap()
            }
            1 => [parts[0], foreign[1], parts[2]].join("."),
            2 => [parts[0], parts[1], foreign[2]].join("."),
            3 => format!("{}.{}.", jwt::encode(r#"{"alg":"none","typ":"at+jwt"}"#), parts[1]),
            4 => jwt::Key::of(9).sign(&jwt::part(grant, 0), &jwt::part(grant, 1)),
            _ => self.fleet.dead.grant.clone(),
        }
    }

    async fn forge(&mut self, me: &Held) {
        let (grant, agent, id) = (self.tampered(&me.grant), self.subordinate(me), self.id());
        let params = message(&id, &json!({}), &json!({}));
        for method in ["SendMessage", "ListTasks"] {
            let params = if method == "SendMessage" { params.clone() } else { json!({}) };
            let answer = self.fleet.call(&grant, agent, method, params).await;
            assert_eq!(answer["error"]["code"], -31401, "{method} with {grant}: {answer}");
        }
    }

    async fn lie_about_lineage(&mut self, me: &Held) {
        let fleet = Arc::clone(&self.fleet);
        let other = [&fleet.bobs, &fleet.dead, &fleet.alices[0]][self.dice.below(3)];
        let wishes = json!({
            "task": other.task, "parent": other.task, "root": other.root, "depth": 0, "grant": other.grant,
            "broker": "http://mallory.example", "budget": budget(3), "skill": "work",
        });
        let (agent, id, script) = (self.subordinate(me), self.id(), self.script());
        let mut params = message(&id, &script, &wishes);
        params["message"]["referenceTaskIds"] = json!([other.task]);
        self.send(me, &me.grant, agent, params).await;
    }

    async fn reach_for_more(&mut self, me: &Held) {
        let wishes = [
            json!({ "scope": ["fs:path/**"] }),
            json!({ "scope": ["mcp:tool/**"] }),
            json!({ "scope": ["mcp:tool/search{calls<=999}"] }),
            json!({ "scope": ["mcp:tool/search{calls<=1}", "pay:invoice/*"] }),
            json!({ "budget": { "calls": 100_000 } }),
            json!({ "budget": { "usd": "1000.00" } }),
            json!({ "budget": { "fanout": u64::MAX } }),
        ];
        let (wishes, agent, id) = (self.dice.pick(&wishes).clone(), self.subordinate(me), self.id());
        let answer = self.send(me, &me.grant, agent, message(&id, &json!({}), &wishes)).await;
        assert!([-31403, -31429].map(Value::from).contains(&answer["error"]["code"]), "{wishes}: {answer}");
    }

    async fn narrow_and_use_for_more(&mut self, me: &Held) {
        let fleet = Arc::clone(&self.fleet);
        let tool = exchange(&fleet.broker, &me.grant, &[("resource", "http://127.0.0.1:1/tool")]).await;
        let narrow = exchange(&fleet.broker, &me.grant, &[("scope", "mcp:tool/search{calls<=1}")]).await;
        let (agent, id) = (self.subordinate(me), self.id());
        for (answer, code) in [(tool, -31401), (narrow, -31403)] {
            assert_eq!(answer.status, 200, "{}", answer.text);
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let params = message(&id, &json!({}), &json!({ "skill": "work" }));
            let answer = self.send(me, &token, agent, params).await;
            assert_eq!(answer["error"]["code"], code, "{answer}");
            for more in ["mcp:tool/search{calls<=2}", "a2a:skill/end/*", "mcp:tool/**"] {
                let wider = exchange(&fleet.broker, &token, &[("scope", more)]).await;
                assert_eq!(wider.status, 400, "{more}: {}", wider.text);
            }
        }
    }

    /// Not its own, its delegator's, somebody else's, nor one that is over or never was.
    async fn name_foreign_tasks(&mut self, me: &Held) {
        let fleet = Arc::clone(&self.fleet);
        let never = "01890000-0000-7000-8000-000000000000";
        let tasks = [&me.task, &me.root, &fleet.bobs.task, &fleet.dead.task, never];
        let task = *self.dice.pick(&tasks);
        let mut turn = message(&self.id(), &json!({}), &json!({}));
        turn["message"]["taskId"] = json!(task);
        if self.dice.below(2) == 0 {
            turn["message"]["contextId"] = json!("mallory");
        }
        for (method, params) in [("SendMessage", turn), ("CancelTask", json!({ "id": task }))] {
            let answer = self.fleet.call(&me.grant, "", method, params).await;
            assert_eq!(answer["error"]["code"], -32001, "{method} of {task} by {}: {answer}", me.task);
        }
    }

    /// One message id, said by many at once and not always the same: at most one task comes of it.
    async fn replay(&mut self, me: &Held) {
        let id = format!("again-{}", self.dice.below(4));
        let script = self.dice.pick(&[json!({}), json!({ "cost": { "calls": 1 } })]).clone();
        let params = message(&id, &script, &json!({ "budget": budget(2) }));
        let answer = self.send(me, &me.grant, "end", params).await;
        if let Some(task) = answer["result"]["task"]["id"].as_str() {
            let mut replayed = self.fleet.replayed.lock().unwrap();
            replayed.entry((me.task.clone(), id)).or_default().insert(task.to_owned());
        }
    }

    async fn meddle_with_grants(&mut self, me: &Held) {
        let tampered = self.tampered(&me.grant);
        let url = |path: &str| format!("{}/{path}", self.fleet.broker.url());
        let form = [("token", tampered.as_str())];
        let nobody = wire::form(&url("introspect"), &[("token", &me.grant)], &[]).await;
        assert_eq!(nobody.status, 401, "{}", nobody.text);
        let bob = format!("Bearer {}", self.fleet.keys["bob"]);
        let seen = wire::form(&url("introspect"), &form, &[("Authorization", &bob)]).await;
        assert_eq!(seen.text, r#"{"active":false}"#, "{tampered}");
        let revoked = wire::form(&url("revoke"), &form, &[]).await;
        assert_eq!(revoked.status, 200, "what is no grant needs no revoking: {}", revoked.text);
        let renewed = exchange(&self.fleet.broker, &tampered, &[]).await;
        assert_eq!(renewed.status, 400, "{tampered}: {}", renewed.text);
        let path = format!("api/v1/tasks/{}/revoke", me.task);
        for key in [&self.fleet.keys["bob"], &me.grant] {
            let answer = wire::post(&url(&path), &json!({}), Some(key)).await;
            assert_eq!(answer.status, 404, "{}", answer.text);
        }
    }

    /// A branch of its own, taken away while its agent delegates from three sides; afterwards nothing begins there.
    async fn race(&mut self) {
        let fleet = Arc::clone(&self.fleet);
        let top = &fleet.alices[0];
        let script = json!({ "delay_ms": 600_000 });
        let mut params = message(&self.id(), &script, &json!({ "budget": budget(10) }));
        params["configuration"] = json!({ "returnImmediately": true });
        let begun = self.send(top, &top.grant, "mid", params).await;
        let Some(task) = begun["result"]["task"]["id"].as_str() else { return };
        let branch = fleet.told("mid", task).await;
        let ids = [self.id(), self.id(), self.id(), self.id()];
        let send = |id: &str, agent: &'static str| {
            let params = message(id, &json!({ "delay_ms": 30 }), &json!({ "budget": budget(1) }));
            let (fleet, grant) = (Arc::clone(&fleet), branch.grant.clone());
            async move { fleet.call(&grant, agent, "SendMessage", params).await }
        };
        let way = self.dice.below(3);
        let away = async {
            tokio::task::yield_now().await;
            match way {
                0 => drop(fleet.call(&top.grant, "", "CancelTask", json!({ "id": task })).await),
                1 => drop(
                    wire::form(&format!("{}/revoke", fleet.broker.url()), &[("token", &branch.grant)], &[])
                        .await,
                ),
                _ => {
                    let url = format!("{}/api/v1/tasks/{task}/revoke", fleet.broker.url());
                    drop(wire::post(&url, &json!({}), Some(&fleet.keys["olga"])).await);
                }
            }
        };
        let (a, b, c, ()) =
            tokio::join!(send(&ids[0], "side"), send(&ids[1], "end"), send(&ids[2], "low"), away);
        for answer in [a, b, c] {
            let parent = &answer["result"]["task"]["metadata"][EXTENSION]["parent"];
            assert!(parent.is_null() || parent == task, "{answer}");
        }
        let late = send(&ids[3], "end").await;
        assert_eq!(late["error"]["code"], -31401, "nothing begins below what was taken away: {late}");
    }

    /// Another principal sees what nobody sees.
    async fn peep(&mut self) {
        let fleet = Arc::clone(&self.fleet);
        let bob = &fleet.keys["bob"];
        let task = &self.dice.pick(&fleet.alices).task;
        for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
            let foreign = fleet.call(bob, "", method, json!({ "id": task })).await;
            let absent = json!({ "id": "01890000-0000-7000-8000-000000000000" });
            assert_eq!(foreign, fleet.call(bob, "", method, absent).await, "{method}: the same bytes");
        }
        let list = fleet.call(bob, "", "ListTasks", json!({ "pageSize": 100 })).await;
        let seen = list["result"]["tasks"].as_array().expect("tasks");
        assert!(seen.iter().all(|task| task["id"] == fleet.bobs.task), "{list}");
        let tree = format!("{}/api/v1/tasks/{task}/tree", fleet.broker.url());
        let credential = format!("Bearer {bob}");
        let tree = wire::request("GET", &tree, &[("Authorization", &credential)], Vec::new()).await;
        assert_eq!(tree.status, 404, "{}", tree.text);
    }
}
