//! The plugins that are part of the program are what their source gives.

use std::path::Path;
use std::process::Command;

#[test]
fn embedded_plugins_have_manifests_and_the_recorded_digests() {
    let digests = include_str!("../../plugins/prebuilt/DIGESTS");
    for builtin in retain::plugin::builtins() {
        let (name, wasm) = (builtin.name, builtin.wasm());
        let manifest = retain::plugin::Manifest::read(&wasm).unwrap();
        assert_eq!(manifest.name, name);
        let digest: String = {
            use sha2::Digest;
            sha2::Sha256::digest(&wasm)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        assert!(
            digests.contains(&format!("{digest}  {name}.wasm")),
            "{name}"
        );
    }
}

#[test]
fn rebuilding_gives_the_same_bytes_where_the_target_is_installed() {
    let targets = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let installed = targets.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line == "wasm32-wasip2")
    });
    if !installed {
        eprintln!("skipped: the target wasm32-wasip2 is not installed");
        return;
    }
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let output = Command::new("sh")
        .args(["build.sh", "--check"])
        .current_dir(&plugins)
        .env("RETAIN_PLUGIN_TARGET", plugins.join("target"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
