//! Server-side request forgery: who may lead the broker where, in every spelling, through name servers that change
//! their mind, and through redirects.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use broker::address::{Destination, GivenBy, Reach};
use broker::ports::downstream::{Binding, Discovery, Downstream};
use broker::ports::fetch::Fetch;
use broker::southbound::client::{A2aClient, Options};
use broker::southbound::connector::Resolve;
use broker::southbound::discovery::CardFetcher;
use tokio::net::UdpSocket;

use super::calls::{endpoint, message};
use super::web::{Web, dialer, plain_dialer};

/// (URL, who may give it): o an operator, c a card registered at agents.example, p a caller, l a caller where
/// loopback is allowed.
const TABLE: &[(&str, &str)] = &[
    // Public, and the registered host.
    ("http://93.184.216.34", "ocpl"),
    ("https://8.8.8.8:8443/a2a?x=1#y", "ocpl"),
    ("https://[2606:4700::1111]", "ocpl"),
    ("https://other.example/a2a", "ocpl"),
    ("http://agents.example:9000", "ocpl"),
    ("HTTP://AGENTS.EXAMPLE./x", "ocpl"),
    ("http://bücher.example", "ocpl"),
    ("http://172.15.255.255", "ocpl"),
    ("http://172.32.0.1", "ocpl"),
    ("http://100.63.255.255", "ocpl"),
    ("http://100.128.0.1", "ocpl"),
    ("http://[::ffff:8.8.8.8]", "ocpl"),
    ("http://[64:ff9b::8.8.8.8]", "ocpl"),
    // This machine.
    ("http://127.0.0.1", "ol"),
    ("http://127.255.255.254:1", "ol"),
    ("http://localhost:8420", "ol"),
    ("http://LOCALHOST", "ol"),
    ("http://localhost.", "ol"),
    ("http://a.b.localhost", "ol"),
    ("http://[::1]", "ol"),
    ("http://[0:0:0:0:0:0:0:1]:80", "ol"),
    ("http://[::ffff:127.0.0.1]", "ol"),
    ("http://[::ffff:7f00:1]", "ol"),
    ("http://[64:ff9b::127.0.0.1]", "ol"),
    ("http://2130706433", "ol"),
    ("http://0x7f000001", "ol"),
    ("http://0x7F.0.0.0x1", "ol"),
    ("http://017700000001", "ol"),
    ("http://0177.0.0.01", "ol"),
    ("http://127.1", "ol"),
    ("http://127.0.1", "ol"),
    ("http://127.0.0.1.", "ol"),
    ("http://127%2e0%2e0%2e1", "ol"),
    ("http://%31%32%37.0.0.1", "ol"),
    ("http://１２７.０.０.１", "ol"),
    ("http://127。0。0。1", "ol"),
    ("http://①②⑦.⓪.⓪.①", "ol"),
    ("http://ⓛocalhost", "ol"),
    ("http:\\\\127.0.0.1\\x", "ol"),
    ("http:127.0.0.1", "ol"),
    ("\thttp://127.0.0.1\n", "ol"),
    ("http://93.184.216.34\\@127.0.0.1/", "ocpl"),
    // Other people's networks.
    ("http://10.0.0.1", "o"),
    ("http://10.1", "o"),
    ("http://172.16.0.1", "o"),
    ("http://172.31.255.255", "o"),
    ("http://192.168.1.1", "o"),
    ("http://3232235777", "o"),
    ("http://0xc0a80101", "o"),
    ("http://100.64.0.1", "o"),
    ("http://198.18.0.1", "o"),
    ("http://192.0.2.1", "o"),
    ("http://198.51.100.1", "o"),
    ("http://203.0.113.1", "o"),
    ("http://[fd12:3456::1]", "o"),
    ("http://[fc00::1]", "o"),
    ("http://[fec0::1]", "o"),
    ("http://[2001:db8::1]", "o"),
    ("http://[3fff::1]", "o"),
    ("http://[64:ff9b:1::1]", "o"),
    ("http://[64:ff9b::10.0.0.1]", "o"),
    ("http://[::ffff:192.168.0.1]", "o"),
    // What nobody may name.
    ("http://169.254.169.254/latest/meta-data", ""),
    ("http://2852039166", ""),
    ("http://0xA9FEA9FE", ""),
    ("http://[::ffff:169.254.169.254]", ""),
    ("http://[64:ff9b::169.254.169.254]", ""),
    ("http://[fd00:ec2::254]", ""),
    ("http://100.100.100.200", ""),
    ("http://168.63.129.16", ""),
    ("http://169.254.1.1", ""),
    ("http://[fe80::1]", ""),
    ("http://[febf::1]", ""),
    ("http://0.0.0.0:8420", ""),
    ("http://0", ""),
    ("http://0.1.2.3", ""),
    ("http://[::]", ""),
    ("http://[::127.0.0.1]", ""),
    ("http://[::ffff:0:127.0.0.1]", ""),
    ("http://224.0.0.1", ""),
    ("http://239.255.255.250", ""),
    ("http://255.255.255.255", ""),
    ("http://240.0.0.1", ""),
    ("http://192.0.0.1", ""),
    ("http://192.88.99.1", ""),
    ("http://[ff02::1]", ""),
    ("http://[2002:7f00:1::]", ""),
    ("http://[2002:a00:1::1]", ""),
    ("http://[2001::1]", ""),
    ("http://[2001:0:7f00:1::]", ""),
    ("http://[100::1]", ""),
    ("http://[4000::1]", ""),
    // What is no URL to dial.
    ("http://[fe80::1%25eth0]", ""),
    ("http://user@93.184.216.34", ""),
    ("http://user:secret@agents.example", ""),
    ("http://:secret@agents.example", ""),
    ("http://agents.example@127.0.0.1", ""),
    ("ftp://user:secret@agents.example", ""),
    ("http://user:secret@a b", ""),
    ("ftp://agents.example", ""),
    ("file:///etc/passwd", ""),
    ("gopher://127.0.0.1:6379/_x", ""),
    ("ws://agents.example", ""),
    ("unix:/run/x.sock", ""),
    ("data:application/json,{}", ""),
    ("javascript:x", ""),
    ("http://", ""),
    ("http://.", ""),
    ("http://999.1.1.1", ""),
    ("http://127.0.0.1.5", ""),
    ("http://4294967296", ""),
    ("http://a b", ""),
    ("http://a:99999", ""),
    ("//127.0.0.1", ""),
    ("127.0.0.1", ""),
    ("", ""),
];

fn givers() -> [(char, GivenBy); 4] {
    [
        ('o', GivenBy::Operator),
        ('c', GivenBy::Card { registered_host: "agents.example".to_owned() }),
        ('p', GivenBy::Caller { loopback: false }),
        ('l', GivenBy::Caller { loopback: true }),
    ]
}

#[test]
fn each_may_name_what_the_table_says_in_every_spelling() {
    for (url, allowed) in TABLE {
        for (letter, given_by) in givers() {
            let judged = Destination::judge(url, &given_by);
            assert_eq!(judged.is_ok(), allowed.contains(letter), "{url:?} given by {given_by:?}: {judged:?}");
            assert!(
                !judged.is_err_and(|refused| refused.to_string().contains("secret")),
                "{url}: a refusal repeats no user information"
            );
        }
    }
    let card = |host: &str| GivenBy::Card { registered_host: host.to_owned() };
    for (url, registered) in [
        ("http://127.0.0.1:2", "127.0.0.1"),
        ("http://0x7f.1:2", "127.0.0.1"),
        ("http://10.0.0.1", "10.0.0.1"),
        ("http://[::1]:3", "[::1]"),
        ("http://LocalHost.:4", "localhost"),
    ] {
        let judged = Destination::judge(url, &card(registered));
        assert_eq!(judged.map(|judged| judged.reach()), Ok(Reach::Anywhere), "the registered host {url}");
    }
    for (url, registered) in [
        ("http://10.0.0.2", "10.0.0.1"),
        ("http://127.0.0.1", "localhost"),
        ("http://169.254.169.254", "169.254.169.254"),
        ("http://127.0.0.1", ""),
    ] {
        assert!(Destination::judge(url, &card(registered)).is_err(), "{url}, registered {registered:?}");
    }
}

/// Answers every name with these addresses.
struct Fixed(Vec<IpAddr>);

#[async_trait]
impl Resolve for Fixed {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let mut judged = 0;
    for (url, allowed) in TABLE {
        let Ok(parsed) = url::Url::parse(url) else { continue };
        let address: IpAddr = match parsed.host() {
            Some(url::Host::Ipv4(address)) => address.into(),
            Some(url::Host::Ipv6(address)) => address.into(),
            _ => continue,
        };
        // Only what is refused is asked for: a test dials nobody else's machines.
        if allowed.contains('p') || !parsed.username().is_empty() {
            continue;
        }
        judged += 1;
        let web = dialer(&(Arc::new(Fixed(vec![address])) as Arc<dyn Resolve>), None);
        for given_by in [GivenBy::Caller { loopback: false }, givers()[1].1.clone()] {
            let refused = web.get("http://innocent.example/x", &given_by, 100).await.unwrap_err();
            assert!(refused.contains("innocent.example") && refused.contains("is not dialled"), "{refused}");
        }
    }
    assert!(judged >= 60, "{judged}");
}

/// A name server that answers one address first and the other second, and so on in turn.
async fn rebinding_name_server(answers: [Vec<IpAddr>; 2]) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let turn = count.fetch_add(1, Ordering::SeqCst);
            let records = &answers[turn % 2];
            let mut answer = query[..length].to_vec();
            // A response without an error; one question, some answers with no time to live.
            answer[2..4].copy_from_slice(&[0x84, 0]);
            answer[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
            for record in records {
                let (kind, data) = match record {
                    IpAddr::V4(address) => (1u8, address.octets().to_vec()),
                    IpAddr::V6(address) => (28, address.octets().to_vec()),
                };
                answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, u8::try_from(data.len()).unwrap()]);
                answer.extend(data);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (address, asked)
}

/// Asks a name server over UDP, caching nothing.
struct NameServer(SocketAddr);

#[async_trait]
impl Resolve for NameServer {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 255, 0, 1]);
        socket.send_to(&query, self.0).await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        let (mut rest, mut found) = (&answer[query.len()..length], Vec::new());
        while !rest.is_empty() {
            let size = usize::from(rest[11]);
            let data = &rest[12..12 + size];
            found.push(match size {
                4 => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()),
                _ => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()),
            });
            rest = &rest[12 + size..];
        }
        Ok(found)
    }
}

/// In a block IANA has given to nobody: public as far as rules go, and nobody's machine.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2d00, 0, 0, 0, 0, 0, 0, 1));
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_name_server_that_changes_its_mind_leads_nowhere() {
    for answers in [[vec![NOBODY], vec![LOOPBACK]], [vec![NOBODY, LOOPBACK], vec![LOOPBACK, NOBODY]]] {
        let victim = Web::start(|_| ("200 OK".to_owned(), "internal".to_owned())).await;
        let url = format!("http://rebind.example:{}/", victim.address.port());
        let (server, asked) = rebinding_name_server(answers).await;
        let web = dialer(&(Arc::new(NameServer(server)) as Arc<dyn Resolve>), None);
        for (_, given_by) in givers().into_iter().filter(|(letter, _)| "cp".contains(*letter)) {
            for _ in 0..2 {
                web.get(&url, &given_by, 100).await.expect_err("out of reach");
            }
        }
        let count = || asked.load(Ordering::SeqCst);
        assert_eq!(count(), 4, "asked once for each connection: what is judged is what is dialled");
        assert!(victim.asked().is_empty(), "the victim heard nothing: {:?}", victim.asked());
        // The same name, given by an operator, does lead there: so the server is reachable at all.
        let mut reached = 0;
        for _ in 0..2 {
            reached += usize::from(web.get(&url, &GivenBy::Operator, 100).await.is_ok());
        }
        assert!(reached > 0 && victim.asked().len() == reached);
        // The connection it left open is used again, but not lent to an URL somebody else gave.
        let mut again = false;
        for _ in 0..50 {
            let before = count();
            again |= web.get(&url, &GivenBy::Operator, 100).await.is_ok() && count() == before;
        }
        assert!(again, "connections are kept open");
        let before = victim.asked().len();
        for _ in 0..2 {
            web.get(&url, &GivenBy::Caller { loopback: false }, 100).await.expect_err("out of reach");
        }
        assert_eq!(victim.asked().len(), before);
    }
}

#[tokio::test]
async fn redirects_lead_nowhere_for_documents_cards_and_calls() {
    let victim = Web::start(|_| ("200 OK".to_owned(), "{}".to_owned())).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        for target in [victim.url(), format!("http://localhost:{}/", victim.address.port())] {
            let head = format!("{status}\r\nlocation: {target}");
            let door = Web::start(move |_| (head.clone(), String::new())).await;
            let web = plain_dialer(None);
            let document = web.get(&door.url(), &GivenBy::Operator, 100).await.unwrap_err();
            assert!(
                document.contains("redirects are not followed") && document.contains(&target),
                "{document}"
            );
            let cards = CardFetcher::new(Arc::<broker::southbound::dialer::Dialer>::clone(&web));
            let card = cards.fetch_card(&door.url()).await.unwrap_err();
            assert!(card.contains("redirects are not followed"), "{card}");
            let client = A2aClient::new(web, Options::default());
            for binding in [Binding::JsonRpc, Binding::HttpJson] {
                let to = endpoint(&door.url(), binding, false);
                assert!(client.send(&to, message()).await.is_err(), "{status}");
                assert!(client.get_task(&to, "t").await.is_err(), "{status}");
            }
            assert_eq!(door.asked().len(), 6);
        }
    }
    assert!(victim.asked().is_empty(), "{:?}", victim.asked());
}

#[tokio::test]
async fn a_document_is_bounded_and_needs_an_answer_that_says_success() {
    let web = plain_dialer(None);
    let big = Web::start(|_| ("200 OK".to_owned(), "x".repeat(101))).await;
    assert!(
        web.get(&big.url(), &GivenBy::Operator, 100).await.unwrap_err().contains("larger than 100 bytes")
    );
    assert_eq!(web.get(&big.url(), &GivenBy::Operator, 101).await.unwrap().len(), 101);
    let absent = Web::start(|_| ("404 Not Found".to_owned(), "{}".to_owned())).await;
    assert!(web.get(&absent.url(), &GivenBy::Operator, 100).await.unwrap_err().contains("HTTP 404"));
    let refused = web.get(&big.url(), &GivenBy::Caller { loopback: false }, 100).await.unwrap_err();
    assert!(refused.contains("this machine"), "{refused}");
    assert!(web.get(&big.url(), &GivenBy::Caller { loopback: true }, 101).await.is_ok());
}
