//! A load balancer without a memory: each connection goes to the next broker that takes one, whoever comes. As those that look
//! after their brokers do, it can take one out: then connections to it break, and no more are made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A load balancer on loopback.
pub struct Balancer {
    address: String,
    out: watch::Sender<BTreeSet<String>>,
    cuts: watch::Sender<u64>,
}

impl Balancer {
    /// Takes an address; nothing is balanced before it [is told](Self::balance) between whom.
    pub async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        (Self { address, out: watch::Sender::default(), cuts: watch::Sender::default() }, listener)
    }

    /// Balances between addresses until the test is over.
    pub fn balance(&self, listener: TcpListener, addresses: Vec<String>) {
        let (addresses, next) = (Arc::new(addresses), AtomicUsize::new(0));
        let (out, cuts) = (self.out.subscribe(), self.cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (addresses, first) = (Arc::clone(&addresses), next.fetch_add(1, Ordering::Relaxed));
                let (out, mut cuts) = (out.clone(), cuts.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(client, &addresses, first, out) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
    }

    /// Takes one out.
    pub fn take_out(&self, address: &str) {
        self.out.send_modify(|out| {
            out.insert(address.to_owned());
        });
    }

    /// Breaks every connection there is, in the middle of whatever it carries.
    pub fn sever(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Connects a client with the first of the addresses that takes a connection, beginning with one of them.
async fn carry(
    mut client: TcpStream,
    addresses: &[String],
    first: usize,
    mut out: watch::Receiver<BTreeSet<String>>,
) {
    for number in 0..addresses.len() {
        let address = &addresses[(first + number) % addresses.len()];
        if out.borrow().contains(address) {
            continue;
        }
        if let Ok(mut broker) = TcpStream::connect(address).await {
            tokio::select! {
                // Either end may close it.
                _ = tokio::io::copy_bidirectional(&mut client, &mut broker) => {}
                _ = out.wait_for(|out| out.contains(address)) => {}
            }
            return;
        }
    }
}
