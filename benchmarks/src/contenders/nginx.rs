//! nginx as a proxy, as it is usually put before a server: one process, connections to the server kept open.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::machine;
use crate::stage::Stage;

/// Where Debian puts it, which is not on everybody's path.
const PROGRAMS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

pub fn command(stage: &Stage, listen: SocketAddr, agent: SocketAddr, room: &Path) -> Result<Option<Command>> {
    let found = PROGRAMS
        .into_iter()
        .find_map(|program| Some((program, machine::said(Command::new(program).arg("-v"))?)));
    let Some((program, version)) = found else {
        stage.skip("nginx is not installed (Debian: apt-get install nginx-light)");
        return Ok(None);
    };
    stage.version("nginx", version.trim_start_matches("nginx version: nginx/"));
    let at = room.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path {at}/{what};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/errors warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n    access_log off;\n    keepalive_requests 100000000;\n{temporary}    \
         upstream agent {{ server {agent}; keepalive 256; keepalive_requests 100000000; }}\n    \
         server {{\n        listen {listen};\n        location / {{\n            proxy_pass http://agent;\n            \
         proxy_http_version 1.1;\n            proxy_set_header Connection \"\";\n        }}\n    }}\n}}\n"
    );
    let file = room.join("nginx.conf");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(room).arg("-e").arg(room.join("errors")).arg("-c").arg(file);
    Ok(Some(command))
}
