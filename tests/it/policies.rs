//! Every policy in `policies/`: what it removes from a tree like its reader's, and what not.

use crate::inventory::{check, policy, repository};

#[test]
fn rotated_logs_go_by_age_but_live_logs_audit_and_the_newest_rotations_stay() {
    let policy = policy("policies/log-directory.retain", &[]);
    check(
        &policy,
        "stays | web/access.log              | 40 days | 5 MB
         stays | web/access.log.1            | 20 days | 5 MB
         stays | web/access.log.2.gz         | 30 days | 1 MB
         goes  | web/access.log.3.gz         | 31 days | 1 MB
         stays | web/error.log-20260309      | 1 day   | 1 MB
         stays | web/error.log-20260301      | 9 days  | 1 MB
         stays | web/error.log-20260226      | 12 days | 1 MB
         stays | web/notes.txt               | 90 days | 1 KB
         stays | audit/access.log.7.gz       | 90 days | 1 MB
         stays | audit/access.log.8.gz       | 91 days | 1 MB
         stays | audit/access.log.9.gz       | 92 days | 1 MB",
    );
}

#[test]
fn rotated_logs_over_the_budget_go_oldest_first() {
    let policy = policy(
        "policies/log-directory.retain",
        &[("LOG_MAX_SIZE_MB", "100")],
    );
    let plan = check(
        &policy,
        "stays | web/access.log.1 | 1 day  | 40 MB
         stays | web/access.log.2 | 2 days | 40 MB
         goes  | web/access.log.3 | 3 days | 15 MB
         goes  | web/access.log.4 | 4 days | 15 MB",
    );
    assert!(
        plan.steps.get(0).unwrap().reason.contains("is over 100 MB"),
        "{}",
        plan.steps.get(0).unwrap().reason
    );
}

#[test]
fn a_large_project_pays_for_its_own_cache() {
    let policy = policy("policies/build-cache.retain", &[]);
    check(
        &policy,
        "goes  | engine/debug/a.o   | 9 days  | 9 GB  | 8 days
         stays | engine/debug/b.o   | 20 days | 9 GB  | 1 day
         stays | engine/debug/c.o   | 1 hour  | 7 GB  | 20 days
         stays | engine/build.lock  | 60 days | 0 B
         goes  | site/old.js        | 31 days | 1 MB
         stays | site/new.js        | 29 days | 1 MB  | 29 days",
    );
}

#[test]
fn when_dumps_stop_the_newest_seven_stay_and_failed_ones_do_not_count() {
    let policy = policy("policies/database-dumps.retain", &[]);
    let plan = check(
        &policy,
        "goes  | shop-2026-01-20.sql.gz | 49 days | 0 B
         stays | shop-2026-01-19.sql.gz | 50 days | 5 MB
         stays | shop-2026-01-18.sql.gz | 51 days | 5 MB
         stays | shop-2026-01-17.sql.gz | 52 days | 5 MB
         stays | shop-2026-01-16.sql.gz | 53 days | 5 MB
         stays | shop-2026-01-15.sql.gz | 54 days | 5 MB
         stays | shop-2026-01-14.sql.gz | 55 days | 5 MB
         stays | shop-2026-01-13.sql.gz | 56 days | 5 MB
         goes  | shop-2026-01-12.sql.gz | 57 days | 5 MB
         stays | shop-2026-01-01.sql.gz | 68 days | 5 MB
         stays | blog-2025-01-02.sql.gz | 432 days | 5 MB
         stays | shop-before-upgrade.sql.gz | 900 days | 5 MB",
    );
    let hook = &plan.hooks[0];
    assert_eq!(
        (hook.plugin.as_str(), hook.destination.as_deref()),
        ("backup", Some("cold"))
    );
    assert!(plan.steps.iter().all(|step| step.ruling.hooks[..] == [0]));
    assert_eq!(plan.tripped.len(), 0);
}

#[test]
fn a_clean_up_of_a_third_of_the_dumps_waits_for_a_person() {
    let policy = policy("policies/database-dumps.retain", &[]);
    let line = |fate: &str, day: u32, age: u32| {
        format!("{fate} | shop-2026-02-{day:02}.sql.gz | {age} days | 5 MB\n")
    };
    let kept = (1..=7).map(|n| line("stays", 10 - n, 40 + n));
    let gone = (1..=4).map(|n| line("goes", 20 + n, 60 + n));
    let plan = check(&policy, &kept.chain(gone).collect::<String>());
    assert_eq!(plan.tripped.len(), 1);
}

#[test]
fn each_camera_loses_its_own_oldest_hours_and_incidents_stay() {
    let policy = policy("policies/camera-footage.retain", &[]);
    let plan = check(
        &policy,
        "goes  | cam01/2026-03-01/08.mp4 | 9 days   | 200 GB
         stays | cam01/2026-03-05/08.mp4 | 5 days   | 200 GB
         stays | cam01/2026-03-10/08.mp4 | 4 hours  | 200 GB
         goes  | cam02/2026-02-07/08.mp4 | 31 days  | 1 GB
         stays | cam02/2026-03-01/08.mp4 | 9 days   | 1 GB
         stays | cam02/2026-03-01/08.txt | 90 days  | 1 KB
         stays | incidents/2025/08.mp4   | 300 days | 1 GB",
    );
    let labels: Vec<_> = plan
        .steps
        .iter()
        .map(|step| plan.rules[step.ruling.rule].label.as_deref().unwrap())
        .collect();
    assert_eq!(labels, ["budget", "expiry"]);
}

#[test]
fn downloads_go_by_kind_and_age_and_the_quota_takes_the_largest_first() {
    let policy = policy("policies/per-user-downloads.retain", &[]);
    check(
        &policy,
        "goes  | ann/Downloads/distro.iso      | 31 days  | 2 GB
         stays | ann/Downloads/thesis.pdf      | 31 days  | 2 MB
         goes  | ann/Downloads/old/list.pdf    | 181 days | 2 MB
         stays | ann/Downloads/keep/distro.iso | 400 days | 2 GB
         stays | ann/thesis.zip                | 400 days | 2 GB
         goes  | bob/Downloads/film.mkv        | 20 days  | 8 GB
         stays | bob/Downloads/talk.mkv        | 20 days  | 5 GB
         stays | bob/Downloads/new.mkv         | 6 days   | 4 GB",
    );
}

#[test]
fn unfinished_uploads_go_after_hours_and_finished_ones_after_days() {
    let policy = policy(
        "policies/tmp-uploads.retain",
        &[("UPLOAD_ABANDONED_HOURS", "3")],
    );
    check(
        &policy,
        "goes  | s1/video.part | 4 hours | 1 GB
         stays | s1/audio.part | 2 hours | 1 GB
         stays | s1/video.bin  | 4 hours | 1 GB
         goes  | s2/video.bin  | 49 hours | 1 GB
         stays | s2/info.json  | 49 hours | 1 KB",
    );
}

#[test]
fn charts_go_by_age_and_budget_but_the_watched_symbol_outlives_the_rest() {
    let policy = policy("policies/chart-images.retain", &[]);
    check(
        &policy,
        "stays | AAPL_1h/a.png | 7 days  | 3 MB
         goes  | AAPL_1h/b.png | 31 days | 3 MB
         stays | MSFT_1h/a.png | 1 hour  | 15 MB
         goes  | MSFT_1h/b.png | 2 hours | 15 MB
         goes  | MSFT_1h/c.png | 7 hours | 3 MB
         stays | NVDA_1d/a.png | 9 hours | 3 MB
         stays | misc/a.png    | 9 days  | 3 MB",
    );
}

#[test]
fn builds_go_by_channel_and_number_and_releases_never_do() {
    let policy = policy("policies/release-artifacts.retain", &[]);
    let nightly =
        |fate: &str, n: u32| format!("{fate} | app/nightly/{n:03}.tar.gz | {n} days | 1 MB\n");
    let mut table: String = (1..=20).map(|n| nightly("stays", n)).collect();
    table.extend((21..=25).map(|n| nightly("goes", n)));
    table.push_str(
        "stays | app/branch/fix.tar.gz        | 20 days  | 1 MB
         stays | app/branch/login.tar.gz      | 21 days  | 1 MB
         stays | app/branch/search.tar.gz     | 22 days  | 1 MB
         goes  | app/branch/typo.tar.gz       | 23 days  | 1 MB
         stays | app/release/1.0.tar.gz       | 900 days | 1 MB
         stays | app/release/1.0.tar.gz.asc   | 900 days | 1 KB",
    );
    let plan = check(&policy, &table);
    assert_eq!(plan.tripped.len(), 0);
}

#[test]
fn every_policy_says_first_for_whom_it_is_and_what_it_never_deletes() {
    let mut seen = 0;
    for file in std::fs::read_dir(repository("policies")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (top, _) = text.split_once("edition 2026").unwrap();
        for words in ["# For who", "never delete", "[stores.", "policy"] {
            assert!(top.contains(words), "{}: no `{words}`", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
}
