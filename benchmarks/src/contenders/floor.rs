//! The floors, which are this program itself.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setting, this_program};
use crate::load::Connection;

pub fn echo(listen: SocketAddr, setting: Setting) -> Result<Command> {
    let mut command = this_program()?;
    command.args(["echo", &listen.to_string()]);
    command.args(setting.tasks.then_some("--tasks")).args(setting.streaming.then_some("--streaming"));
    Ok(command)
}

pub fn hop(listen: SocketAddr, agent: SocketAddr) -> Result<Command> {
    let mut command = this_program()?;
    command.args(["hop", &listen.to_string(), &agent.to_string()]);
    Ok(command)
}

pub fn relay(listen: SocketAddr, agent: SocketAddr, room: &Path, fsync: bool, sign: bool) -> Result<Command> {
    let mut command = this_program()?;
    command.args(["relay", &listen.to_string(), &agent.to_string()]).arg(room.join("journal"));
    command.args(fsync.then_some("--fsync")).args(sign.then_some("--sign"));
    Ok(command)
}

/// One that stands before nobody.
pub fn alone(what: &str, listen: SocketAddr) -> Result<Command> {
    let mut command = this_program()?;
    command.args([what, &listen.to_string()]);
    Ok(command)
}

/// How many messages an echo has answered.
pub async fn served(echo: SocketAddr) -> Result<u64> {
    get(echo, crate::floors::SERVED).await?.trim().parse().context("the echo does not say how many it served")
}

/// What a floor has at a path.
pub async fn get(floor: SocketAddr, path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {floor}\r\n\r\n");
    let mut body = Vec::new();
    Connection::open(floor).await?.call(request.as_bytes(), &mut body).await?;
    Ok(String::from_utf8(body)?)
}
