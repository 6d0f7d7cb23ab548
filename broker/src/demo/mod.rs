//! Demo.

/// Runs the demo.
pub async fn run(_stay: bool) -> Result<(), String> {
    Err("not yet".to_owned())
}
