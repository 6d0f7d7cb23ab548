//! What is measured, once, for criterion and for the table of ratios: scopes as they are in practice and at their worst,
//! and one grant beside a plain token of equal size.

use std::cell::RefCell;
use std::hint::black_box;

use biscuit_auth::builder::{BiscuitBuilder, fact, string};
use biscuit_auth::{Biscuit, KeyPair};
use capability::ledger::{Amounts, Ceilings, Ledger};
use capability::{Claims, Expected, GrantKey, KeySet, Possession, Scope, mint, verify};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tenuo::{ConstraintSet, Exact, OneOf, Pattern, Range, Subpath};

/// Sizes of the scopes, in capabilities.
const SIZES: [usize; 3] = [1, 4, 32];
/// How deep the purse lies that is opened.
const DEPTH: u64 = 8;
/// Capabilities in the grant that is minted and verified.
const GRANTED: usize = 4;
/// A plain verify within seconds of the grant's own times.
const ISSUER: &str = "https://broker.example.com";
const NOW: u64 = 4_000_000_000;
const SEED: [u8; 32] = [7; 32];
/// DER of a PKCS #8 Ed25519 private key, up to its seed (RFC 8410).
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The name of the operation that the others are set against.
pub const PLAIN_VERIFY: &str = "plain verify (jsonwebtoken, EdDSA)";

/// Something to measure.
pub struct Operation {
    pub name: String,
    /// Most it may cost, in plain verifies.
    pub goal: Option<f64>,
    pub run: Box<dyn Fn()>,
}

/// Everything that is measured.
pub fn operations() -> Vec<Operation> {
    let mut operations = tokens();
    operations.push(reserve());
    for size in SIZES {
        let goal = match size {
            32 => Some(2.0),
            4 => Some(0.05),
            _ => None,
        };
        operations.extend(
            [("mixed", mixed(size)), ("crowded", crowded(size)), ("exploding", exploding(size))]
                .into_iter()
                .map(|(form, (a, b))| {
                    // What explodes is refused; the goal is for answers, but refusing must not be an attack either.
                    let goal = if form == "exploding" { None } else { goal };
                    operation(format!("meet {size} × {size}, {form}"), goal, move || a.meet(&b).is_ok())
                }),
        );
        let (wide, narrow) = mixed(size);
        operations.push(operation(format!("⊑ {size} × {size}, mixed"), None, move || narrow.le(&wide)));
        let (wide, narrow) = crowded(size);
        operations.push(operation(format!("⊑ {size} × {size}, crowded"), None, move || narrow.le(&wide)));
        let pairs = tenuo_sets(size);
        operations.push(operation(format!("tenuo attenuation, {size} × 1 to 1"), None, move || {
            pairs.iter().all(|(parent, child)| parent.validate_attenuation(child).is_ok())
        }));
    }
    operations
}

fn operation<T>(name: String, goal: Option<f64>, run: impl Fn() -> T + 'static) -> Operation {
    Operation { name, goal, run: Box::new(move || drop(black_box(run()))) }
}

/// A scope as agents are given, and a narrower one of as many capabilities: agents, tools, files, hosts, payments.
fn mixed(size: usize) -> (Scope, Scope) {
    let texts = |index: usize| {
        let (form, index) = (index % 5, index / 5);
        match form {
            0 => (format!("a2a:skill/agent-{index}/*"), format!("a2a:skill/agent-{index}/summarize")),
            1 => (format!("mcp:tool/search-{index}*"), format!("mcp:tool/search-{index}{{calls<=20}}")),
            2 => (format!("fs:path/team-{index}/**"), format!("fs:path/team-{index}/reports/**")),
            3 => (
                format!("net:host/get{{host~**.example-{index}.com}}"),
                format!("net:host/get{{calls<=9;host~api.example-{index}.com}}"),
            ),
            _ => (
                format!("pay:invoice/account-{index}{{amount<=500;region=eu|uk}}"),
                format!("pay:invoice/account-{index}{{amount<=50;region=eu}}"),
            ),
        }
    };
    scopes(size, texts)
}

/// All of one space and kind, told apart only by the last segment, with constraints that all must be looked at.
fn crowded(size: usize) -> (Scope, Scope) {
    scopes(size, |index| {
        let constraints = |amount, words| format!("{{amount<={amount};path~/*/reports/**;region={words}}}");
        (
            format!("mcp:tool/*/*/tool-{index}{}", constraints(500, "eu|uk|us")),
            format!("mcp:tool/*/*/tool-{index}{}", constraints(50, "eu|us")),
        )
    })
}

/// Every pair meets in a capability of its own: the most a meet can be asked to do.
fn exploding(size: usize) -> (Scope, Scope) {
    scopes(size, |index| (format!("mcp:tool/*/b-{index}/**"), format!("mcp:tool/a-{index}/**")))
}

fn scopes(size: usize, texts: impl Fn(usize) -> (String, String)) -> (Scope, Scope) {
    let (wide, narrow): (Vec<String>, Vec<String>) = (0..size).map(texts).unzip();
    let parse = |texts: Vec<String>| Scope::parse(texts).expect("the texts are canonical");
    (parse(wide), parse(narrow))
}

/// A purse opened and closed under a chain of others.
fn reserve() -> Operation {
    let asked = |usd| Ceilings { usd: Some(usd), calls: Some(usd), tokens: Some(usd), fanout: Some(usd) };
    let fee = Amounts { calls: 1, ..Amounts::default() };
    let mut ledger = Ledger::default();
    for depth in 0..DEPTH {
        let parents: Vec<u64> = depth.checked_sub(1).into_iter().collect();
        ledger.open(depth, &parents, asked(1 << (40 - depth)), fee).expect("there is enough");
    }
    let ledger = RefCell::new(ledger);
    operation(format!("ledger reserve and return at depth {DEPTH}"), None, move || {
        let mut ledger = ledger.borrow_mut();
        // Nothing is charged, so that it can go on for ever.
        let opened = ledger.open(DEPTH, &[DEPTH - 1], asked(10), Amounts::default());
        ledger.close(&DEPTH, |_| Some(0));
        opened.expect("there is enough")
    })
}

/// As [`mixed`], each tool by its own name: tenuo finds the parent by it, `capability` searches.
fn tenuo_sets(size: usize) -> Vec<(ConstraintSet, ConstraintSet)> {
    let set = |fields: Vec<(&str, tenuo::Constraint)>| -> ConstraintSet {
        fields.into_iter().map(|(name, constraint)| (name.to_owned(), constraint)).collect()
    };
    let glob = |pattern: &str| tenuo::Constraint::from(Pattern::new(pattern).expect("a glob"));
    let path = |root: &str| tenuo::Constraint::from(Subpath::new(root).expect("absolute"));
    let most = |max: f64| tenuo::Constraint::from(Range::max(max).expect("finite"));
    let pair = |index: usize| match index % 5 {
        0 => (
            set(vec![("agent", Exact::new("a").into()), ("skill", glob("*"))]),
            set(vec![("agent", Exact::new("a").into()), ("skill", Exact::new("summarize").into())]),
        ),
        1 => (set(vec![("tool", glob("search-*"))]), set(vec![("tool", Exact::new("search-1").into())])),
        2 => (set(vec![("path", path("/team"))]), set(vec![("path", path("/team/reports"))])),
        3 => (set(vec![("host", glob("*.example.com"))]), set(vec![("host", glob("*.api.example.com"))])),
        _ => (
            set(vec![("amount", most(500.0)), ("region", OneOf::new(["eu", "uk"]).into())]),
            set(vec![("amount", most(50.0)), ("region", OneOf::new(["eu"]).into())]),
        ),
    };
    (0..size).map(pair).collect()
}

/// What a token is usually made of; what the padding makes equal is its size.
#[derive(Serialize, Deserialize)]
struct Plain {
    iss: String,
    sub: String,
    aud: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    scope: String,
}

fn tokens() -> Vec<Operation> {
    let key = GrantKey::from_seed(SEED);
    let claims = claims();
    let granted = mint(&key, &claims).expect("a grant");
    let plain = plain_token(granted.len());
    let biscuit_key = KeyPair::new();
    let biscuit = biscuit(&biscuit_key);
    let public = key.public_jwk()["x"].as_str().expect("a key").to_owned();
    let decoding = DecodingKey::from_ed_components(&public).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    let keys = KeySet::from(key.verify_key());
    vec![
        operation(PLAIN_VERIFY.to_owned(), None, move || {
            jsonwebtoken::decode::<Plain>(&plain, &decoding, &validation).expect("a good token").claims.exp
        }),
        operation(format!("grant verify, {GRANTED} capabilities"), Some(1.15), move || {
            let possession = Possession::Bearer;
            let expected = Expected { issuer: ISSUER, audience: ISSUER, now: NOW, possession };
            verify(&granted, &keys, &expected).expect("a good grant")
        }),
        operation(format!("grant mint, {GRANTED} capabilities"), None, move || mint(&key, &claims)),
        operation(format!("biscuit verify, {GRANTED} rights"), None, move || {
            Biscuit::from_base64(&biscuit, biscuit_key.public()).expect("a good token")
        }),
    ]
}

fn claims() -> Claims {
    Claims {
        issuer: ISSUER.to_owned(),
        subject: "alice".to_owned(),
        actors: None,
        holder: "researcher".to_owned(),
        audience: ISSUER.to_owned(),
        id: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned(),
        issued_at: NOW,
        not_before: NOW,
        expires: NOW + 900,
        root: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned(),
        task: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c".to_owned(),
        parent: Some("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned()),
        depth: 1,
        scope: mixed(GRANTED).1,
        confirmation: None,
    }
}

fn plain_token(length: usize) -> String {
    let key = EncodingKey::from_ed_der(&[PKCS8_ED25519_PREFIX.as_slice(), &SEED].concat());
    let token = |padding: usize| {
        let claims = Plain {
            iss: ISSUER.to_owned(),
            sub: "alice".to_owned(),
            aud: ISSUER.to_owned(),
            jti: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned(),
            iat: NOW,
            nbf: NOW,
            exp: NOW + 900,
            scope: "s".repeat(padding),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).expect("a token")
    };
    (1..).map(token).find(|token| token.len() >= length).expect("the padding grows")
}

fn biscuit(key: &KeyPair) -> String {
    let rights = claims().scope.texts();
    let builder = rights
        .iter()
        .try_fold(BiscuitBuilder::new(), |builder, right| builder.fact(fact("right", &[string(right)])));
    let token = builder.and_then(|builder| builder.build(key)).expect("a token");
    token.to_base64().expect("a text")
}
