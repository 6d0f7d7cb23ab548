//! agentgateway's A2A route, where somebody says where its binary is.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::machine;
use crate::process::free_address;
use crate::stage::Stage;

const PROGRAM: &str = "AGENTGATEWAY";

pub fn command(stage: &Stage, listen: SocketAddr, agent: SocketAddr, room: &Path) -> Result<Option<Command>> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        stage.skip(format!("agentgateway: {PROGRAM} does not say where its binary is"));
        return Ok(None);
    };
    let version = machine::said(Command::new(&program).arg("--version"));
    stage.version("agentgateway", version.unwrap_or_else(|| "of unknown version".to_owned()));
    // It logs every request by default, which nobody else here does; and what it serves beside requests is at fixed
    // ports, which two of it cannot share.
    let beside = ["adminAddr", "statsAddr", "readinessAddr"]
        .map(|what| Ok(format!("  {what}: {}\n", free_address()?)))
        .into_iter()
        .collect::<Result<String>>()?;
    let config = format!(
        "config:\n{beside}  logging:\n    level: error\nbinds:\n- port: {}\n  listeners:\n  - routes:\n    - policies:\n        \
         a2a: {{}}\n      backends:\n      - host: {agent}\n",
        listen.port()
    );
    let file = room.join("config.yaml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-f").arg(file);
    Ok(Some(command))
}
