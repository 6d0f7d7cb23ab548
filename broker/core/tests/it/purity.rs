//! What must not be here: an async runtime, a clock, a random source, a file, a socket.

#[test]
fn the_core_depends_on_nothing_that_acts() {
    let manifest = include_str!("../../Cargo.toml");
    let own = manifest.split("[dev-dependencies]").next().unwrap();
    for forbidden in ["tokio", "rand", "getrandom", "reqwest", "hyper", "fjall", "async"] {
        assert!(!own.contains(forbidden), "broker-core depends on {forbidden}");
    }
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for forbidden in
                ["SystemTime", "Instant", "now_v7", "new_v4", "std::fs", "std::net", "std::thread"]
            {
                assert!(!text.contains(forbidden), "{} uses {forbidden}", path.display());
            }
        }
    }
}
