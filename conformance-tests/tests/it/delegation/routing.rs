//! Messages to `/` that name no agent: whom they go to, when the caller is asked, what is refused, and how much of that a
//! reader of the task can see.

use conformance_tests::{Agent, Broker, Posted, Receiver, Reply, until, wire};
use serde_json::{Value, json};

const EXTENSION: &str = "/metadata/urn:bailiwick:ext:delegation:v1";

struct Fleet {
    broker: Broker,
    agents: Vec<(&'static str, Agent)>,
}

fn offers(description: &str, skill: &str, examples: &[&str]) -> String {
    let skill = json!({ "id": skill, "name": skill, "description": description, "examples": examples, "tags": [skill] });
    json!({ "description": description, "skills": [skill] }).to_string()
}

impl Fleet {
    /// Three trades, and two of one of them.
    async fn start(config: &str, translator_rejects: bool) -> Self {
        let translations = ["Translate this letter into French", "How do you say good morning in Spanish?"];
        let rejects: &[&str] = if translator_rejects { &["--rejects"] } else { &[] };
        let translator = offers("Translates texts between languages", "translate", &translations);
        let interpreter = offers(
            "Interprets and translates letters and speech into other languages",
            "interpret",
            &["Translate my speech into German", "Put this into Italian"],
        );
        let weather = offers(
            "Tells the weather and forecasts",
            "forecast",
            &["Will it rain tomorrow in Paris?", "How warm is it in Oslo?"],
        );
        let chart = offers(
            "Draws charts from tables of numbers",
            "plot",
            &["Draw a bar chart of these sales figures"],
        );
        let start = |name, offers: &str, more: &[&str]| {
            (name, Agent::scripted_with(name, &[&["--offers", offers], more].concat()))
        };
        let agents = vec![
            start("translator", &translator, rejects),
            start("interpreter", &interpreter, &[]),
            start("weather", &weather, &[]),
            start("charts", &chart, &[]),
        ];
        let broker = Broker::start(config);
        for (name, agent) in &agents {
            broker.add_agent(name, agent.url(), &[]).await;
        }
        Self { broker, agents }
    }

    async fn send(&self, params: Value) -> Value {
        let answer = self.broker.rpc("", "SendMessage", params).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"]["task"].clone()
    }

    fn heard(&self, name: &str) -> usize {
        let (_, agent) = self.agents.iter().find(|(known, _)| *known == name).unwrap();
        agent.logged("received").len()
    }
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or_default()
}

fn told<'t>(task: &'t Value, member: &str) -> &'t Value {
    task.pointer(&format!("{EXTENSION}/{member}")).unwrap_or(&Value::Null)
}

fn answer(id: &str, task: &Value, part: &Value) -> Value {
    json!({ "message": { "messageId": id, "role": "ROLE_USER", "taskId": task["id"], "parts": [part] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_clearly_for_one_agent_goes_there_and_the_task_says_why() {
    let fleet = Fleet::start("[selection]\nthreshold = 0.3\nscope = 0.05\n", false).await;
    let task = fleet.send(wire::message("m", "Will it rain tomorrow in London?")).await;
    assert_eq!((state(&task), told(&task, "agent")), ("TASK_STATE_COMPLETED", &json!("weather")), "{task}");
    let choice = told(&task, "choice");
    assert_eq!(
        (&choice["verdict"], &choice["candidates"][0]["agent"]),
        (&json!("confident"), &json!("weather"))
    );
    assert!(choice["confidence"].as_f64().unwrap() >= 0.3 && choice["considered"] == 4, "{choice}");
    assert!(!choice["candidates"][0]["why"][0].as_str().unwrap().is_empty(), "{choice}");
    // The same message again is the same task.
    let again = fleet.send(wire::message("m", "Will it rain tomorrow in London?")).await;
    assert_eq!((&again["id"], fleet.heard("weather")), (&task["id"], 1));

    // Nothing is begun by asking whom it would be for.
    let asked = json!({ "text": "Draw a pie chart of our sales figures" });
    let selected = wire::post(&format!("{}/api/v1/select", fleet.broker.url()), &asked, None).await.json();
    assert_eq!(selected["candidates"][0]["agent"], "charts", "{selected}");
    assert!(selected["explanation"].as_str().unwrap().contains("charts"), "{selected}");
    assert_eq!(fleet.heard("charts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_asked_where_it_is_not_clear_also_across_a_crash_and_the_pick_is_learned() {
    let mut fleet = Fleet::start("[selection]\nthreshold = 1.0\nscope = 0.0\n", false).await;
    let task = fleet.send(wire::message("m", "Translate a letter into Polish")).await;
    assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED", "{task}");
    let question = &task["status"]["message"]["parts"][1]["data"];
    let names: Vec<&str> =
        question["candidates"].as_array().unwrap().iter().filter_map(|one| one["agent"].as_str()).collect();
    assert!(
        names.len() == 3 && names.contains(&"translator") && names.contains(&"interpreter"),
        "{question}"
    );
    assert!(question["candidates"][0]["probability"].as_f64().is_some(), "{question}");
    assert_eq!(fleet.agents.iter().map(|(_, agent)| agent.logged("received").len()).sum::<usize>(), 0);

    fleet.broker.crash();
    let unknown = fleet
        .broker
        .rpc("", "SendMessage", answer("a0", &task, &json!({ "data": { "agent": "nobody" } })))
        .await;
    assert_eq!(unknown["error"]["code"], -31404, "{unknown}");
    let done = fleet.send(answer("a1", &task, &json!({ "data": { "agent": "interpreter" } }))).await;
    assert_eq!((state(&done), &done["id"]), ("TASK_STATE_COMPLETED", &task["id"]), "{done}");
    assert_eq!(
        (told(&done, "agent"), &told(&done, "choice")["verdict"]),
        (&json!("interpreter"), &json!("picked"))
    );
    assert_eq!(
        done["artifacts"][0]["parts"][0]["text"], "Translate a letter into Polish",
        "the pick is no work"
    );
    assert_eq!(fleet.heard("interpreter"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_more_is_weighed_with_what_was_said_and_goes_along() {
    let fleet = Fleet::start("[selection]\nthreshold = 0.5\nscope = 0.0\n", false).await;
    let task = fleet.send(wire::message("m", "Please take care of this for me")).await;
    assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED", "{task}");
    let more = json!({ "text": "Will it rain tomorrow in Paris? Tell me the weather forecast" });
    let done = fleet.send(answer("a1", &task, &more)).await;
    assert_eq!((state(&done), told(&done, "agent")), ("TASK_STATE_COMPLETED", &json!("weather")), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_nobody_is_refused_and_said_so() {
    let fleet = Fleet::start("[selection]\nscope = 1.0\n", false).await;
    let task = fleet.send(wire::message("m", "Book a table for two at eight")).await;
    assert_eq!(state(&task), "TASK_STATE_REJECTED", "{task}");
    assert_eq!(told(&task, "choice")["verdict"], "out_of_scope", "{task}");

    // Of those that may, the only one is chosen, however unlikely.
    let mut params = wire::message("n", "Book a table for two at eight");
    params["message"]["metadata"] = json!({ "urn:bailiwick:ext:delegation:v1": { "skill": "plot" } });
    let task = fleet.send(params).await;
    assert_eq!(
        (told(&task, "agent"), &told(&task, "choice")["verdict"]),
        (&json!("charts"), &json!("only")),
        "{task}"
    );
    let excluded = told(&task, "choice")["excluded"].to_string();
    assert!(excluded.contains("does not offer the skill plot"), "{excluded}");

    let mut params = wire::message("o", "Book a table");
    params["configuration"] = json!({ "acceptedOutputModes": ["image/png"] });
    let refused = fleet.broker.rpc("", "SendMessage", params).await;
    let text = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains("weather: it answers with text/plain"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_of_the_trade_does_it_where_the_first_one_refuses() {
    let fleet = Fleet::start("[selection]\nthreshold = 0.0\nscope = 0.0\n", true).await;
    let mut params =
        wire::message("m", "Translate this text between languages: translate good morning into Spanish");
    params["message"]["metadata"] =
        json!({ "urn:bailiwick:ext:delegation:v1": { "retry": { "fallback": true } } });
    let task = fleet.send(params).await;
    assert_eq!(
        (state(&task), told(&task, "agent")),
        ("TASK_STATE_COMPLETED", &json!("interpreter")),
        "{task}"
    );
    assert_eq!(told(&task, "choice")["verdict"], "next", "{task}");
    let attempts = told(&task, "attempts").to_string();
    assert!(attempts.contains("translator") && attempts.contains("refused"), "{attempts}");
}

/// The whole story in one task: nobody was named, the caller was asked and picked, the pick did not do well, another did.
#[tokio::test(flavor = "multi_thread")]
async fn a_pick_that_fails_its_checks_gives_way_to_the_next_and_the_task_tells_all_of_it() {
    let fleet = Fleet::start("[selection]\nthreshold = 1.0\nscope = 0.0\n", false).await;
    let mut params = wire::message("m", "Translate this letter into Polish, says {agent}");
    params["message"]["metadata"] = json!({ "urn:bailiwick:ext:delegation:v1": {
        "accept": { "expression": "text.contains('says interpreter')" }, "retry": { "fallback": true } } });
    let task = fleet.send(params).await;
    assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED", "{task}");
    let done = fleet.send(answer("a", &task, &json!({ "text": "translator" }))).await;
    assert_eq!((state(&done), &done["id"]), ("TASK_STATE_COMPLETED", &task["id"]), "{done}");
    assert_eq!(
        (told(&done, "agent"), &told(&done, "choice")["verdict"]),
        (&json!("interpreter"), &json!("next")),
        "{done}"
    );
    let first = &told(&done, "attempts")[0];
    assert_eq!((&first["agent"], &first["state"]), (&json!("translator"), &json!("unaccepted")), "{done}");
    assert!(first["reason"].as_str().unwrap().contains("it is not so that"), "{first}");
    assert_eq!(told(&done, "acceptance")["verdict"], "passed", "{done}");
    assert!(!done["artifacts"].to_string().contains("says translator"), "{done}");

    // It counts against whoever did it badly, and that can be seen.
    let asked = json!({ "text": "Translate this letter into Polish" });
    let url = format!("{}/api/v1/select", fleet.broker.url());
    until("the failed check is known to the ranker", async || {
        let selected = wire::post(&url, &asked, None).await.json();
        selected["explanation"].as_str().unwrap().contains("verification_failures")
    })
    .await;
}

/// A model that is for one agent, whatever it is asked, and says so as the protocol of `OpenAI` has it.
fn is_for(agent: &'static str) -> impl FnMut(&Posted) -> Reply + Send + 'static {
    move |asked| {
        let given = asked.json["messages"][1]["content"].as_str().unwrap();
        let given: Value = serde_json::from_str(given).unwrap();
        let agents = given["agents"].as_array().unwrap();
        let label =
            &agents.iter().find(|one| one["name"].as_str().unwrap().contains(agent)).unwrap()["label"];
        let position = json!({ "token": label, "top_logprobs": [{ "token": label, "logprob": -0.001 }] });
        let choice = json!({ "message": { "content": label }, "logprobs": { "content": [position] } });
        Reply::json(&json!({ "choices": [choice] }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_heard_on_whom_a_message_is_for_and_done_without_where_it_fails() {
    let model = Receiver::answering(is_for("charts")).await;
    let config = format!(
        "[selection]\nthreshold = 0.3\nscope = 0.05\n[selection.reranker]\nurl = \"{}\"\nmodel = \"tiny\"\n\
         weight = 1.0\ntimeout = \"30s\"\n",
        model.url("/v1")
    );
    let fleet = Fleet::start(&config, false).await;
    let rain = "Will it rain tomorrow in London?";
    let task = fleet.send(wire::message("m", rain)).await;
    assert_eq!((state(&task), told(&task, "agent")), ("TASK_STATE_COMPLETED", &json!("charts")), "{task}");
    let choice = told(&task, "choice");
    assert_eq!(choice["stages"], json!(["reranker: tiny by log-probabilities"]));
    assert!(choice["candidates"][0]["why"][0].as_str().unwrap().contains("by the reranker"), "{choice}");
    let asked = &model.posted()[0].json;
    assert!(asked["model"] == "tiny" && asked.to_string().contains(rain), "{asked}");

    model.behave(|_| Reply::of(500));
    let task = fleet.send(wire::message("n", rain)).await;
    assert_eq!(told(&task, "agent"), "weather", "{task}");
    let stages = told(&task, "choice")["stages"].to_string();
    assert!(stages.contains("HTTP 500") && stages.contains("stands without it"), "{stages}");
    let selected =
        wire::post(&format!("{}/api/v1/select", fleet.broker.url()), &json!({ "text": rain }), None).await;
    assert!(selected.json()["explanation"].as_str().unwrap().contains("reranker: HTTP 500"));
}

/// A model to which words of the trades are directions, and looking outside is drawing charts.
fn sees_trades(asked: &Posted) -> Reply {
    const TRADES: [&[&str]; 4] = [
        &["rain", "weather", "warm"],
        &["translate", "spanish"],
        &["interpret", "italian"],
        &["chart", "outside"],
    ];
    let texts = asked.json["input"].as_array().unwrap();
    let vectors = texts.iter().enumerate().map(|(index, text)| {
        let text = text.as_str().unwrap().to_lowercase();
        let vector =
            TRADES.map(|words| if words.iter().any(|word| text.contains(word)) { 1.0 } else { 0.01 });
        json!({ "index": index, "embedding": vector })
    });
    Reply::json(&json!({ "data": vectors.collect::<Vec<_>>(), "usage": { "total_tokens": 5 } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoints_vectors_rank_once_all_are_there_and_are_done_without_where_it_fails() {
    let model = Receiver::answering(sees_trades).await;
    let config = format!(
        "[selection]\nthreshold = 0.0\nscope = 0.0\n[selection.embeddings]\nurl = \"{}\"\nmodel = \"trades\"\n\
         dimensions = 4\ntimeout = \"30s\"\n",
        model.url("/v1")
    );
    let fleet = Fleet::start(&config, false).await;
    let text = "Kindly look outside for me";
    let select = format!("{}/api/v1/select", fleet.broker.url());
    until("the vectors of all cards", async || {
        let selected = wire::post(&select, &json!({ "text": text }), None).await.json();
        selected["stages"] == json!(["embeddings: trades"])
    })
    .await;
    let task = fleet.send(wire::message("m", text)).await;
    assert_eq!((state(&task), told(&task, "agent")), ("TASK_STATE_COMPLETED", &json!("charts")), "{task}");
    assert_eq!(told(&task, "choice")["stages"], json!(["embeddings: trades"]));
    let sent_card = |one: &&Posted| one.json["input"].to_string().contains("Draws charts from tables");
    assert_eq!(model.posted().iter().filter(sent_card).count(), 1, "a card is sent once");

    model.behave(|_| Reply::of(500));
    let task = fleet.send(wire::message("o", "Will it rain tomorrow in London?")).await;
    assert_eq!(told(&task, "agent"), "weather", "{task}");
    let stages = told(&task, "choice")["stages"].to_string();
    assert!(stages.contains("the program's own vectors were used"), "{stages}");
}
