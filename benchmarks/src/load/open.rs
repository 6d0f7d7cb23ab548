//! The open loop: requests are due at their times whether or not earlier ones were answered, as callers who do not know of
//! each other send them. What is measured begins when a request was due, not when a connection was free for it, so that a
//! server that stalls is not asked less while it does (no coordinated omission).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

use super::closed::all;
use super::tally::{Shared, Tally, Window};
use super::{Connection, Request};
use crate::os::FineTimer;

/// More than are ever busy at half of what a server can do.
const CONNECTIONS: usize = 128;
/// What may be due and not sent yet; more means that the server does not keep up at all.
const MAX_BACKLOG_SECONDS: f64 = 5.0;

/// What is due and has no connection yet.
#[derive(Default)]
struct Due {
    times: RefCell<VecDeque<Instant>>,
    more: Notify,
}

/// Calls, `rate` a second, for as long as the window says.
pub async fn open_loop(request: &Request, rate: f64, window: Window<'_>) -> Result<Tally> {
    let calling = async {
        let (shared, due) = (Rc::new(Shared::new()), Rc::new(Due::default()));
        let mut workers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            workers.spawn_local(work(request.clone(), Rc::clone(&shared), Rc::clone(&due)));
        }
        let (tally, (), ()) =
            tokio::try_join!(window.pass(&shared), schedule(rate, &shared, &due), all(&mut workers))?;
        Ok(Tally { answered: shared.answered.get(), ..tally })
    };
    LocalSet::new().run_until(calling).await
}

/// Says when requests are due.
async fn schedule(rate: f64, shared: &Shared, due: &Due) -> Result<()> {
    let (timer, began) = (FineTimer::new()?, Instant::now());
    let mut number = 0_u64;
    while !shared.is_over.get() {
        let at = began + Duration::from_secs_f64(number as f64 / rate);
        timer.sleep(at.saturating_duration_since(Instant::now())).await?;
        due.times.borrow_mut().push_back(at);
        due.more.notify_one();
        number += 1;
        let backlog = due.times.borrow().len();
        ensure!(
            (backlog as f64) < rate * MAX_BACKLOG_SECONDS,
            "{backlog} requests are due and not sent at {rate:.0}/s: the server does not keep up with half of what was \
             measured; run again on a quiet machine"
        );
    }
    due.more.notify_waiters();
    Ok(())
}

async fn work(mut request: Request, shared: Rc<Shared>, due: Rc<Due>) -> Result<()> {
    let mut connection = Connection::open(request.address()).await?;
    let mut body = Vec::new();
    loop {
        let next = due.times.borrow_mut().pop_front();
        let Some(at) = next else {
            // Those that are due when the run ends are still sent.
            if shared.is_over.get() {
                return Ok(());
            }
            due.more.notified().await;
            continue;
        };
        let number = shared.number();
        let status = connection.call(request.numbered(number), &mut body).await?;
        shared.answered(at.elapsed());
        request.check(number, status, &body)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    /// No more than a busy machine makes in an unoptimized build; over the run far more than there are connections.
    const RATE: f64 = 1000.0;
    const RUN: Duration = Duration::from_secs(2);
    /// When the server stands still, from its first request on.
    const STALL: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1000)];

    /// A server that echoes, and stands still once.
    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let began = Instant::now();
            while let Ok((socket, _)) = listener.accept() {
                std::thread::spawn(move || while echo(&socket, began).is_some() {});
            }
        });
        address
    }

    fn echo(socket: &TcpStream, began: Instant) -> Option<()> {
        let mut reading = BufReader::new(socket);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reading.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        let mut body = vec![0; super::super::request::BODY];
        reading.read_exact(&mut body).ok()?;
        let [from, until] = STALL;
        if began.elapsed() > from {
            std::thread::sleep(until.saturating_sub(began.elapsed()));
        }
        let body = String::from_utf8(body).ok()?;
        let number = body.split("\"messageId\":\"").nth(1)?.get(..16)?;
        let answer = format!(r#"{{"result":{{"message":{{"parts":[{{"text":"{number}"}}]}}}}}}"#);
        let mut writing = socket;
        write!(writing, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).ok()
    }

    #[tokio::test]
    async fn what_is_due_while_a_server_stands_still_counts_as_late() {
        let nobody = || Ok(Duration::ZERO);
        let window = Window { warm_up: Duration::ZERO, time: RUN, server: &nobody, agent: &nobody };
        let tally = open_loop(&Request::send(server(), "/"), RATE, window).await.unwrap();
        // Three in ten are due in that time; counted from when they were sent, it would be no more than have a connection.
        let late = tally.histogram.percentile(0.85);
        assert!(late > 100_000.0, "17 of 20 are counted as answered within {late} µs");
        assert!(tally.answered as f64 > RATE * RUN.as_secs_f64() * 0.9, "{} were answered", tally.answered);
    }
}
