//! Plugins that mean harm, or are broken: the file is still there, and the report
//! says which plugin, which file and what happened.

use super::guests;
use super::shop::{DAY, Shop};

/// Each guest, and the words the report must have.
const GUESTS: [(&str, &str); 44] = [
    (
        "trap",
        "it trapped: wasm `unreachable` instruction executed (in archives)",
    ),
    ("fails", "failed on purpose"),
    ("misconfigured", "failed on purpose"),
    ("retries", "failed on purpose"),
    ("spin", "it took longer than"),
    ("grow", "it asked for more memory than it is granted"),
    (
        "says-done",
        "its draft names `object`, which it did not finish",
    ),
    ("no-objects", "it stored nothing"),
    (
        "truncates",
        "the proof failed: 39 bytes came back, the file has 40",
    ),
    ("other-bytes", "the proof failed: other bytes came back"),
    ("restore-other", "the proof failed: other bytes came back"),
    (
        "restore-nothing",
        "the proof failed: 0 bytes came back, the file has 40",
    ),
    (
        "restore-more",
        "its restore wrote more than the file's 40 bytes",
    ),
    ("restore-trap", "the proof failed: it trapped"),
    ("restore-spin", "the proof failed: it took longer than"),
    ("escape", "failed on purpose"),
    ("note-huge", "its note has 100000 bytes"),
    ("flood-log", "it took longer than"),
    ("sink-flood", "it wrote more than the"),
    ("sinks", "it began more than 64 objects at once"),
    ("strings", "fuel"),
    ("tables", "it asked for more memory than it is granted"),
    ("lookup-outside", "failed on purpose"),
    ("sink-many", "it wrote more than the"),
    ("handle-forge", "unknown handle index 1000"),
    ("double-finish", "unknown handle index"),
    ("review-trap", "it trapped: wasm `unreachable`"),
    ("review-short", "it gave 1 verdicts for 2 files"),
    ("review-long", "it gave 3 verdicts for 2 files"),
    ("review-spin", "it took longer than"),
    ("review-fails", "failed on purpose"),
    ("review-nonsense", "it failed: "),
    ("review-outside", "failed on purpose"),
    ("review-asks", "it took longer than"),
    ("review-poison", "it trapped: wasm `unreachable`"),
    (
        "review-bulk-short",
        "it gave 1 answers and 0 objections for 2 files",
    ),
    (
        "review-bulk-long",
        "it gave 3 answers and 0 objections for 2 files",
    ),
    (
        "review-bulk-silent",
        "it gave 2 answers and 0 objections for 2 files, of which 2 do not proceed",
    ),
    (
        "review-bulk-talks",
        "it gave 2 answers and 1 objections for 2 files, of which 0 do not proceed",
    ),
    ("review-bulk-fails", "failed on purpose"),
    ("review-bulk-nonsense", "it failed: "),
    ("review-bulk-outside", "it failed: "),
    ("review-bulk-trap", "it trapped: wasm `unreachable`"),
    ("review-bulk-poison", "it trapped: wasm `unreachable`"),
];

/// A store whose policy wants everything gone, after the guest has agreed.
fn shop(guest: &str) -> Shop {
    let into = match guest.starts_with("review") {
        true => "",
        false => " into cold",
    };
    let shop = Shop::new(&format!(
        "delete when older than 1 day\nbefore delete, run evil{into}, otherwise keep"
    ));
    let configuration = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin = "[plugins.evil]\nwasm = \"evil.wasm\"\n\
        grants = { destinations = [\"cold\"], memory = \"16 MiB\", wall = \"1 s\", output = \"1 MB\" }\n";
    shop.write("retain.toml", configuration + plugin);
    shop.write("evil.wasm", guests::component(guest));
    shop.file("a.bin", [7; 40], 2 * DAY);
    shop.file("b.bin", [8; 40], 2 * DAY);
    shop
}

fn check(guest: &str, expected: &str) {
    let shop = shop(guest);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{guest}: {said:?}");
    assert!(shop.has("b.bin"), "{guest}");
    let line = said
        .out
        .lines()
        .find(|line| line.contains("b.bin"))
        .unwrap_or_default();
    assert!(
        line.contains("plugin `evil`") && line.contains(expected),
        "{guest}: {said:?}"
    );
    assert_eq!(shop.files("cold"), Vec::<String>::new(), "{guest}");
    let others_go = guest.ends_with("-poison");
    assert_eq!(shop.has("a.bin"), !others_go, "{guest}");
}

#[test]
fn whatever_a_plugin_does_wrong_the_file_stays_and_the_report_says_why() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some((guest, expected)) =
            GUESTS.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            // One bad guest must not hide what the others do.
            if std::panic::catch_unwind(|| check(guest, expected)).is_err() {
                failed.push(*guest);
            }
        }
        failed
    };
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let failed = workers.into_iter().map(|worker| worker.join().unwrap());
        failed.flatten().collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn what_is_not_part_of_the_program_is_compiled_by_a_child_with_limits() {
    let shop = shop("fails");
    let mut apply = shop.command(&["apply", "--yes"]);
    let said = apply.env("RETAIN_LOG", "debug").output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("compiled by a child"), "{said}");

    // The child says what is wrong with a component, and takes nothing else for one.
    let mut broken = guests::component("fails");
    let half = broken.len() / 2;
    broken[half..half + 40].fill(0xff);
    let mut child = shop
        .command(&["__compile-plugin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &broken).unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(!said.status.success() && said.stdout.is_empty() && !said.stderr.is_empty());
}

#[test]
fn every_hostile_guest_is_tried() {
    let mut tried: Vec<&str> = GUESTS.iter().map(|(guest, _)| *guest).collect();
    tried.sort_unstable();
    assert_eq!(guests::all(), tried);
}

#[test]
fn what_is_no_plugin_is_refused_by_check_before_anything_runs() {
    let shop = shop("trap");
    let refused = |wasm: &[u8], expected: &str| {
        shop.write("evil.wasm", wasm);
        for command in [["check"].as_slice(), &["plan"], &["apply", "--yes"]] {
            let said = shop.run(command);
            assert_eq!(said.code, 2, "{said:?}");
            assert!(said.err.contains(expected), "{said:?}");
        }
        assert!(shop.has("a.bin") && shop.has("b.bin"));
    };
    refused(b"#!/bin/sh\nrm -rf /\n", "no WebAssembly component");
    refused(b"\0asm\x01\0\0\0", "core module");
    refused(
        &wat::parse_str("(component)").unwrap(),
        "no plugin of retain",
    );
}

#[test]
fn a_plugin_that_imports_what_it_is_not_granted_blocks_its_files_by_name() {
    let shop = shop("trap");
    let mut wasm = wat::parse_str(
        r#"(component (import "wasi:sockets/tcp@0.2.0" (instance (export "reach-out" (func)))))"#,
    )
    .unwrap();
    let manifest =
        r#"{"name":"x","version":"1","contract":"retain:plugin@0.1.0","kind":"archiver"}"#;
    guests::section(&mut wasm, "retain:manifest", manifest.as_bytes());
    shop.write("evil.wasm", wasm);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("wasi:sockets/tcp"), "{said:?}");
    assert!(shop.has("a.bin") && shop.has("b.bin"));
}

#[test]
fn a_restore_is_told_and_given_what_the_proof_was() {
    let shop = shop("knows-proof");
    let archived = shop.run(&["apply", "--yes"]);
    assert_eq!(
        archived.code, 1,
        "one of the two has the only name: {archived:?}"
    );
    let gone = match shop.has("a.bin") {
        true => "b.bin",
        false => "a.bin",
    };
    // The configuration grants less by now than the archive was proved with.
    let text = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
    assert!(text.contains("16 MiB"));
    shop.write("retain.toml", text.replace("16 MiB", "1 MiB"));
    let said = shop.run(&["restore", gone]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(shop.has(gone));
    // The plugin is no longer configured, only kept.
    std::fs::remove_file(shop.path("store").join(gone)).unwrap();
    let text = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", text.replace("evil.wasm", "builtin:backup"));
    let said = shop.run(&["restore", gone]);
    assert_eq!(said.code, 0, "{said:?}");
}
