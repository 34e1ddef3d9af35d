//! A reviewer is told of its files one by one or in columns, and is told the same.

use std::process::Command;

use crate::shop::{DAY, Shop};

/// What both keep: files whose second capture is `keep` and that have more than 3 bytes.
const JUDGE: &str = r#"
static retain_verdict of(const char *value, size_t length, uint64_t size) {
    if (length == 4 && value[0] == 'k' && value[1] == 'e' && size > 3)
        return (retain_verdict){ .kind = RETAIN_KEEP, .reason = RETAIN_TEXT("it says so") };
    return (retain_verdict){ .kind = RETAIN_PROCEED };
}
"#;

const ONE_BY_ONE: &str = r#"
retain_verdict review(const retain_entry *entry) {
    retain_string value = entry->captures.items[1].value;
    return of(value.text, value.length, entry->size);
}
"#;

const IN_COLUMNS: &str = r#"
retain_verdict review(const retain_file *file) {
    const char *value = (const char *)file->captures.bytes;
    if (file->origin->captures.length != 2) __builtin_trap();
    while (*value++) ;
    size_t length = 0;
    while (value[length]) length++;
    if (value + length + 1 != (const char *)file->captures.bytes + file->captures.length)
        __builtin_trap();
    return of(value, length, file->size);
}
"#;

const POLICY: &str = r#"edition 2026
collection charts at "a/{symbol}_{kind}_*.bin" {
    age is measured from last modified
    delete when older than 1 day
    before delete, run judge, otherwise keep
}
collection reports at "b/{kind}_{symbol}.bin" {
    age is measured from last modified
    delete when older than 1 day
    before delete, run judge, otherwise keep
}
"#;

#[test]
fn a_reviewer_is_told_the_same_one_by_one_and_in_columns() {
    let installed = |program: &str| {
        let said = Command::new(program).arg("--version").output();
        said.is_ok_and(|said| said.status.success())
    };
    if !installed("clang") || !installed("wasm-ld") {
        eprintln!("skipped: clang and lld are not installed");
        return;
    }
    for (form, review) in [("", ONE_BY_ONE), ("#define RETAIN_BULK\n", IN_COLUMNS)] {
        let shop = Shop::new("keep always");
        shop.ok(&["plugin", "new", "judge", "--lang", "c"]);
        let source = format!("{form}#include \"retain.h\"\n{JUDGE}{review}");
        shop.write("judge/plugin.c", source);
        let built = Command::new(env!("CARGO_BIN_EXE_retain"))
            .args(["plugin", "build"])
            .current_dir(shop.path("judge"))
            .output();
        let built = built.unwrap();
        assert!(built.status.success(), "{built:?}");
        let configuration = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
        let plugin = "[plugins.judge]\nwasm = \"judge/judge.wasm\"\n";
        shop.write("retain.toml", configuration + plugin);
        shop.write("p.retain", POLICY);
        for symbol in ["A", "B", "C"] {
            for (kind, text) in [("keep", "long"), ("go", "long"), ("keep", "no")] {
                let number = text.len();
                let name = format!("a/{symbol}_{kind}_{number}.bin");
                shop.file(name, text, 2 * DAY);
                shop.file(format!("b/{kind}{number}_{symbol}.bin"), text, 2 * DAY);
            }
        }
        shop.file("b/x_keep.bin", "long", 2 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        let kept = [
            "a/A_keep_4.bin",
            "a/B_keep_4.bin",
            "a/C_keep_4.bin",
            "b/x_keep.bin",
        ];
        assert_eq!(shop.files("store"), kept, "{form}{said:?}");
        assert!(said.out.contains("it says so"), "{said:?}");
    }
}
