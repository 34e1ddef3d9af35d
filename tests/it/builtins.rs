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
    // What it could not compare.
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_reviewer_in_c_gives_the_same_bytes_where_its_compiler_is_installed() {
    let version = |program: &str| {
        let said = Command::new(program).arg("--version").output();
        said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned())
            .unwrap_or_default()
    };
    if !version("clang").contains("version 14.") || version("wasm-ld").is_empty() {
        eprintln!("skipped: clang 14 and lld are not installed");
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/keep-linked");
    let room = tempfile::TempDir::new().unwrap();
    for file in ["plugin.c", "retain.h", "plugin.json"] {
        std::fs::copy(source.join(file), room.path().join(file)).unwrap();
    }
    let built = Command::new(env!("CARGO_BIN_EXE_retain"))
        .args(["plugin", "build"])
        .current_dir(&room)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let built = std::fs::read(room.path().join("keep-linked.wasm")).unwrap();
    let mut all = retain::plugin::builtins().iter();
    let committed = all
        .find(|builtin| builtin.name == "keep-linked")
        .unwrap()
        .wasm();
    assert!(built == committed, "run plugins/build.sh");
}
