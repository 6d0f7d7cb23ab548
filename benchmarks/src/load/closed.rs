//! The closed loop: so many connections, each of which sends its next request when it has the answer to the last. What it
//! measures is the most a server can do.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use tokio::task::{JoinSet, LocalSet};

use super::tally::{Shared, Tally, Window};
use super::{Connection, Request};

/// Calls over so many connections, for as long as the window says.
pub async fn closed_loop(request: &Request, connections: usize, window: Window<'_>) -> Result<Tally> {
    let calling = async {
        let shared = Rc::new(Shared::new());
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            workers.spawn_local(work(request.clone(), Rc::clone(&shared)));
        }
        let (tally, ()) = tokio::try_join!(window.pass(&shared), all(&mut workers))?;
        Ok(Tally { answered: shared.answered.get(), ..tally })
    };
    LocalSet::new().run_until(calling).await
}

async fn work(mut request: Request, shared: Rc<Shared>) -> Result<()> {
    let mut connection = Connection::open(request.address()).await?;
    let mut body = Vec::new();
    while !shared.is_over.get() {
        let number = shared.number();
        let began = Instant::now();
        let status = connection.call(request.numbered(number), &mut body).await?;
        shared.answered(began.elapsed());
        request.check(number, status, &body)?;
    }
    Ok(())
}

/// So many calls, as fast as they go.
pub async fn calls(request: &Request, connections: usize, count: u64) -> Result<()> {
    let calling = async {
        let left = Rc::new(Cell::new(count));
        let shared = Rc::new(Shared::new());
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            workers.spawn_local(work_off(request.clone(), Rc::clone(&shared), Rc::clone(&left)));
        }
        all(&mut workers).await
    };
    LocalSet::new().run_until(calling).await
}

async fn work_off(mut request: Request, shared: Rc<Shared>, left: Rc<Cell<u64>>) -> Result<()> {
    let mut connection = Connection::open(request.address()).await?;
    let mut body = Vec::new();
    while let Some(less) = left.get().checked_sub(1) {
        left.set(less);
        let number = shared.number();
        let status = connection.call(request.numbered(number), &mut body).await?;
        request.check(number, status, &body)?;
    }
    Ok(())
}

/// Waits for all; the first that fails is what went wrong.
pub(super) async fn all(workers: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}
