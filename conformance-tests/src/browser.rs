//! A real Chromium without a window, driven through the `DevTools` protocol over a pair of pipes: what a test does in a
//! page is an expression in it, and what it waits for is one too.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::node;
use crate::waiting::until;

/// Names under which Chromium may be installed.
const NAMES: [&str; 2] = ["chromium", "chromium-browser"];
/// How long the browser may take for one command.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
/// Without a window, and without anything that reaches for a network.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--remote-debugging-pipe",
    // The tests run as root in CI, where its sandbox does not start; it sees pages of this broker only.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--password-store=basic",
];
/// The protocol's own file descriptors are 3 and 4, which a shell can say and a `Command` cannot.
const LAUNCH: &str = "exec \"$@\" 3<\"$TO_BROWSER\" 4>\"$FROM_BROWSER\"";
/// The middle of the first element that matches and shows a text, in CSS pixels; null while it moves or is covered.
const PLACE: &str = "async (selector, text) => {
    const one = [...document.querySelectorAll(selector)].find((one) => one.textContent.includes(text));
    if (!one) return null;
    one.scrollIntoView({ block: 'center', behavior: 'instant' });
    const middle = () => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return [x + width / 2, y + height / 2];
    };
    const before = middle();
    await new Promise((frame) => requestAnimationFrame(() => requestAnimationFrame(frame)));
    const now = middle();
    const hit = document.elementFromPoint(...now);
    return one.contains(hit) && now.every((side, i) => side === before[i]) ? now : null;
}";

/// Why no page can be looked at here, if so: a test says so and goes on without.
pub fn missing_browser() -> Option<&'static str> {
    if program().is_none() {
        return Some("there is no chromium; install it (Debian: apt-get install chromium)");
    }
    node::missing_node()
}

fn program() -> Option<&'static str> {
    let answers = |name: &&str| {
        let mut asked = Command::new(name);
        asked.arg("--version").stderr(Stdio::null()).output().is_ok_and(|output| output.status.success())
    };
    NAMES.into_iter().find(answers)
}

/// Who waits for the answer to a command, by its number.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A browser and its profile, both gone with the test.
pub struct Browser {
    process: Child,
    commands: Mutex<File>,
    waiting: Waiting,
    complaints: Arc<Mutex<Vec<String>>>,
    last: AtomicU64,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        let pipe = |name: &str| {
            let path = profile.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let mut command = Command::new("sh");
        command
            .args(["-c", LAUNCH, "sh", program().expect("a browser; ask `missing_browser` first")])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg("about:blank")
            .envs([("TO_BROWSER", &to), ("FROM_BROWSER", &from)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().expect("a shell");
        // Each opens once the shell has opened the other end, in the same order.
        let commands = File::options().write(true).open(&to).expect("the browser listens");
        let answers = File::open(&from).expect("the browser answers");
        let (waiting, complaints) = (Waiting::default(), Arc::default());
        let (hearing, noting) = (Arc::clone(&waiting), Arc::clone(&complaints));
        std::thread::spawn(move || hear(answers, &hearing, &noting));
        let last = AtomicU64::new(0);
        Self { process, commands: Mutex::new(commands), waiting, complaints, last, _profile: profile }
    }

    /// A new page at a URL.
    pub async fn open(&self, url: &str) -> Page<'_> {
        let target = self.ask(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.ask(None, "Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { browser: self, session };
        for domain in ["Page", "Runtime", "Log"] {
            page.ask(&format!("{domain}.enable"), json!({})).await;
        }
        // Several pages at a time, and each behaves as the one that is looked at.
        page.ask("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.go(url).await;
        page
    }

    /// What pages complained of so far: errors, exceptions, violations of their policy.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("nobody panicked here").clone()
    }

    /// What a command comes to; fails where the browser refuses it.
    async fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = self.answer(session, method, &params).await;
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// What the browser says to a command: its `result`, or its `error`.
    async fn answer(&self, session: Option<&str>, method: &str, params: &Value) -> Value {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().expect("nobody panicked here").insert(id, sender);
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = json!(session);
        }
        let bytes = [command.to_string().as_bytes(), &[0]].concat();
        self.commands.lock().expect("nobody panicked here").write_all(&bytes).expect("the browser listens");
        let answer = tokio::time::timeout(COMMAND_LIMIT, answer).await;
        answer.expect("the browser answers in time").expect("the browser is there")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hear(answers: File, waiting: &Waiting, complaints: &Mutex<Vec<String>>) {
    for message in BufReader::new(answers).split(0).map_while(Result::ok) {
        let Ok(message) = serde_json::from_slice::<Value>(&message) else { continue };
        if let Some(id) = message["id"].as_u64() {
            let waiter = waiting.lock().expect("nobody panicked here").remove(&id);
            let _ = waiter.map(|waiter| waiter.send(message));
        } else if let Some(complaint) = complaint(&message) {
            complaints.lock().expect("nobody panicked here").push(complaint);
        }
    }
}

/// That the broker did not answer while it was away, or refused, is the page's to handle and to show.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["source"] != "network" && params["entry"]["level"] == "error" => {
            Some(params["entry"].to_string())
        }
        _ => None,
    }
}

/// A page of a browser.
pub struct Page<'b> {
    browser: &'b Browser,
    session: String,
}

impl Page<'_> {
    async fn ask(&self, method: &str, params: Value) -> Value {
        self.browser.ask(Some(&self.session), method, params).await
    }

    /// Goes to a URL.
    pub async fn go(&self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url })).await;
    }

    /// What an expression comes to in the page; a promise is waited for.
    pub async fn eval(&self, expression: &str) -> Value {
        self.value(expression).await.unwrap_or_else(|problem| panic!("{expression}: {problem}"))
    }

    /// The same, or why the browser has no answer: the page is being loaded anew.
    async fn value(&self, expression: &str) -> Result<Value, String> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.browser.answer(Some(&self.session), "Runtime.evaluate", &params).await;
        if !answer["error"].is_null() {
            return Err(answer["error"].to_string());
        }
        let answer = &answer["result"];
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true in the page, through its being loaded anew.
    pub async fn until(&self, what: &str, expression: &str) {
        self.found(what, &format!("Boolean({expression}) || null")).await;
    }

    /// Waits until an expression comes to something in the page, and not to null; what it comes to.
    async fn found(&self, what: &str, expression: &str) -> Value {
        let mut found = Value::Null;
        let is_there = async || {
            found = self.value(expression).await.unwrap_or_else(|problem| {
                eprintln!("{what}: {problem}");
                Value::Null
            });
            !found.is_null()
        };
        until(what, is_there).await;
        found
    }

    /// Waits until the page, or a part of it, shows a text.
    pub async fn sees(&self, selector: &str, text: &str) {
        let expression = format!(
            "[...document.querySelectorAll({})].some((one) => one.textContent.includes({}))",
            json!(selector),
            json!(text)
        );
        self.until(&format!("{selector} with {text:?}"), &expression).await;
    }

    /// Clicks the first element that matches and shows a text, as a mouse does: once it holds still and nothing covers it.
    pub async fn click(&self, selector: &str, text: &str) {
        self.sees(selector, text).await;
        let find = format!("({PLACE})({}, {})", json!(selector), json!(text));
        let place = self.found(&format!("{selector} with {text:?} can be clicked"), &find).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses and releases a key, by the name that pages know it by.
    pub async fn press(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Home" => 36,
            "End" => 35,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        // What a key writes is part of pressing it: a form is sent by a line end.
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.ask("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types a text into the field that has the focus, once one has.
    pub async fn write(&self, text: &str) {
        self.until("a field has the focus", "document.activeElement?.matches('input, textarea')").await;
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Becomes a page of this size, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Whether the system prefers light or dark, as the page is told.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// A picture of what is in sight, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What `axe-core` finds wrong with the page for people who do not see, hear or point as others do.
    pub async fn accessibility_violations(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(axe_file()).expect("axe-core is installed");
        self.eval(&format!("{axe};undefined")).await;
        let found = self.eval("axe.run(document).then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.html + ' — ' + node.failureSummary).join(' | ')))").await;
        found.as_array().expect("a list").iter().map(ToString::to_string).collect()
    }
}

fn axe_file() -> PathBuf {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    node::packages(&manifests, "browser").join("node_modules/axe-core/axe.min.js")
}
