//! Posting to receivers: only where a caller's URL may lead at the moment of connecting, and what answers mean.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use broker::address::{Destination, GivenBy};
use broker::ports::notifier::{Notification, Notifier, Undelivered};
use broker::southbound::connector::Resolve;
use broker::southbound::webhook::Webhooks;
use bytes::Bytes;
use protocol::{Secret, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::web::{Web, dialer, plain_dialer};

fn to(url: &str, loopback: bool) -> Notification {
    Notification {
        to: Destination::judge(url, &GivenBy::Caller { loopback }).unwrap(),
        version: Version::V1,
        authorization: Some(Secret::new("Bearer s3cret")),
        token: Some(Secret::new("tok-s3cret")),
        event_id: "task:7".to_owned(),
        body: Bytes::from("{}"),
    }
}

fn webhooks() -> Webhooks {
    Webhooks::new(plain_dialer(None), Duration::from_secs(5))
}

/// A name that is good when it is first asked for, and private from then on.
struct Turncoat(AtomicBool);

#[async_trait]
impl Resolve for Turncoat {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let turned = self.0.swap(true, Ordering::SeqCst);
        Ok(vec![if turned { [10, 0, 0, 1].into() } else { [127, 0, 0, 1].into() }])
    }
}

#[tokio::test]
async fn a_receiver_is_judged_again_at_every_connection() {
    let web = Web::start(|_| ("200 OK\r\nconnection: close".to_owned(), String::new())).await;
    let resolver: Arc<dyn Resolve> = Arc::new(Turncoat(AtomicBool::new(false)));
    let webhooks = Webhooks::new(dialer(&resolver, None), Duration::from_secs(5));
    let url = format!("http://receiver.example:{}/", web.address.port());
    webhooks.notify(to(&url, true)).await.unwrap();
    let Err(Undelivered::Failed { reason, .. }) = webhooks.notify(to(&url, true)).await else {
        panic!("it went to a private address")
    };
    assert!(reason.contains("10.0.0.1 is not dialled"), "{reason}");
    let inside = Webhooks::new(dialer(&resolver, None), Duration::from_secs(5));
    assert!(inside.notify(to(&url, false)).await.is_err());
    assert_eq!(web.asked().len(), 1);
}

#[tokio::test]
async fn answers_mean_what_they_say() {
    let elsewhere = Web::start(|_| ("200 OK".to_owned(), String::new())).await;
    let location = format!("302 Found\r\nlocation: {}", elsewhere.url());
    let tomorrow = httpdate::fmt_http_date(SystemTime::now() + Duration::from_hours(24));
    let later = format!("503 Service Unavailable\r\nretry-after: {tomorrow}");
    let web = Web::start(move |asked| {
        let path = asked.head.split(' ').nth(1).unwrap_or_default();
        let status = match path {
            "/204" => "204 No Content",
            "/410" => "410 Gone",
            "/429" => "429 Too Many Requests\r\nretry-after: 7",
            "/302" => &location,
            "/503" => &later,
            _ => "500 Internal Server Error",
        };
        (status.to_owned(), if path == "/500" { "s3cret of the receiver".to_owned() } else { String::new() })
    })
    .await;
    let at = async |path: &str| webhooks().notify(to(&format!("{}{path}", web.url()), true)).await;
    assert_eq!(at("/204").await, Ok(()));
    assert_eq!(at("/410").await, Err(Undelivered::Gone));
    let asked = &web.asked()[0];
    for (name, value) in [
        ("authorization", "Bearer s3cret"),
        ("x-a2a-notification-token", "tok-s3cret"),
        ("content-type", "application/a2a+json"),
        ("idempotency-key", "\"task:7\""),
    ] {
        assert_eq!(asked.header(name), Some(value));
    }
    for (path, expected) in [("/429", 7..8), ("/503", 86_000..86_401)] {
        let Err(Undelivered::Failed { retry_after: Some(retry_after), .. }) = at(path).await else {
            panic!("{path}")
        };
        assert!(expected.contains(&retry_after.as_secs()), "{path}: {retry_after:?}");
    }
    for path in ["/302", "/500"] {
        let Err(Undelivered::Failed { reason, retry_after: None }) = at(path).await else { panic!("{path}") };
        assert!(
            reason.starts_with(&format!("HTTP {}", &path[1..])) && !reason.contains("s3cret"),
            "{reason}"
        );
    }
    assert!(elsewhere.asked().is_empty(), "redirects are not followed");
}

#[tokio::test]
async fn an_answer_without_end_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        assert!(socket.read(&mut asked).await.unwrap() > 0);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        std::future::pending::<()>().await;
    });
    assert_eq!(webhooks().notify(to(&url, true)).await, Ok(()));
}
