//! The storage service that `examples/stock-analysis` stands in for, promise by promise:
//! its six stores, three environments, variables and routes, on a service that runs.
//! The table in the example's README names these tests.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::served::{CHARTS, Served, charts, file, receive};
use super::shop::DAY;
use super::stock_analysis::STORES;

/// Where each lies below the base in staging and production.
const PLACES: [&str; 6] = [
    "analysis",
    "cache",
    "charts",
    "datasets",
    "enhanced_sector_data",
    "logs",
];

/// Somebody without privileges: root could read and write everything.
fn nobody() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(65_534)
}

fn production(variables: &[(&str, &str)], make: impl FnOnce(&Path)) -> Served {
    Served::deployed("production", variables, None, make)
}

#[test]
fn the_six_directories_are_made_where_each_environment_has_them_and_are_well() {
    for environment in ["development", "staging", "production"] {
        let base = match environment {
            // As the application's own variables say it.
            "development" => ("STORAGE_BASE_PATH", "./output"),
            _ => ("CHART_ENABLE_CLEANUP", "true"),
        };
        let served = Served::deployed(environment, &[base], None, |_| {});
        let info = served.get("/storage/info").json();
        assert_eq!(info["environment"], environment, "{info}");
        assert_eq!(info["storage"].as_object().unwrap().len(), 6, "{info}");
        let places = match environment {
            "development" => [
                "output",
                "cache",
                "output/charts",
                "analysis_datasets",
                "enhanced_sector_data",
                "logs",
            ]
            .map(str::to_owned),
            _ => PLACES.map(|place| format!("data/{place}")),
        };
        for (store, place) in STORES.into_iter().zip(places) {
            let place = served.path(&place);
            let shown = &info["storage"][store];
            assert_eq!(shown["path"], place.display().to_string(), "{shown}");
            assert!(place.is_dir(), "{}", place.display());
            let health = &shown["health"];
            for quality in ["healthy", "exists", "directory", "readable", "writable"] {
                assert_eq!(health[quality], true, "{store} {quality}: {health}");
            }
            assert!(health["owner"].as_str().unwrap().contains(':'), "{health}");
            assert_eq!(health["mode"].as_str().unwrap().len(), 4, "{health}");
            let seen = &shown["seen"]["total"];
            assert_eq!(*seen, json!({ "files": 0, "bytes": 0 }), "{store}");
        }
        assert_eq!(served.get("/readyz").status, 200);
    }
}

#[test]
fn every_variable_of_a_path_moves_its_store() {
    let names = [
        "ANALYSIS",
        "CACHE",
        "CHARTS",
        "DATASETS",
        "ENHANCED_DATA",
        "LOGS",
    ];
    let variables = names.map(|name| (format!("STORAGE_{name}_PATH"), format!("moved/{name}")));
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for environment in ["development", "staging", "production"] {
        let served = Served::deployed(environment, &variables, None, |_| {});
        let info = served.get("/storage/info").json();
        for (store, name) in STORES.into_iter().zip(names) {
            let place = served.path("moved").join(name);
            let shown = &info["storage"][store];
            assert_eq!(
                shown["path"],
                place.display().to_string(),
                "{environment}: {shown}"
            );
            assert!(place.is_dir(), "{environment}: {}", place.display());
        }
    }
}

#[test]
fn a_place_that_is_no_directory_or_not_ours_to_read_or_write_is_told_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let served = Served::deployed("production", &[], nobody(), |room| {
        for place in PLACES.iter().filter(|place| **place != "logs") {
            fs::create_dir_all(room.join("data").join(place)).unwrap();
        }
        fs::write(room.join("data/logs"), "no directory").unwrap();
        mode(&room.join("data/cache"), 0o555);
        mode(&room.join("data/datasets"), 0o300);
    });
    let info = served.get("/storage/info").json();
    let health = |store: &str| info["storage"][store]["health"].clone();
    let wrong = [
        ("logs", "directory", "is no directory"),
        ("cache", "writable", "cannot write in"),
        ("datasets", "readable", "cannot list"),
    ];
    let advice = served.get("/storage/recommendations").json();
    let metrics = served.get("/metrics").text;
    for (store, quality, words) in wrong {
        let health = health(store);
        assert_eq!(health["exists"], true, "{health}");
        assert_eq!(health[quality], false, "{health}");
        assert_eq!(health["healthy"], false, "{health}");
        let message = health["message"].as_str().unwrap();
        assert!(message.contains(words), "{health}");
        let told = advice["recommendations"].as_array().unwrap().iter();
        let mut told = told.filter(|one| one["store"] == store && one["kind"] == "unhealthy");
        let told = told.next().unwrap_or_else(|| panic!("{store}: {advice}"));
        assert_eq!(told["severity"], "critical", "{told}");
        assert_eq!(told["message"], message, "{told}");
        let line = format!("retain_store_healthy{{store=\"{store}\"}} 0");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    for store in ["cache", "datasets"] {
        let health = health(store);
        let message = health["message"].as_str().unwrap();
        assert!(message.contains("fsGroup"), "{message}");
    }
    // The others go on.
    for store in ["analysis", "charts", "enhanced-data"] {
        assert_eq!(health(store)["healthy"], true, "{store}: {info}");
    }
    for directory in ["cache", "datasets"] {
        mode(&served.path("data").join(directory), 0o755);
    }
}

#[test]
fn a_store_whose_own_files_others_can_reach_is_not_healthy() {
    use std::os::unix::fs::PermissionsExt;
    let served = production(&[("CHART_ENABLE_CLEANUP", "false")], |room| {
        file(&room.join("data/charts/MSFT_1h/old.png"), 4096, DAY);
    });
    assert_eq!(
        served.change("POST", "/charts/cleanup", None).json()["removed"],
        1
    );
    let health = || served.get("/v1/stores/charts").json()["health"].clone();
    assert_eq!(health()["healthy"], true, "{}", health());
    let control = served.path("data/charts/.retain");
    for below in ["", "trash"] {
        let opened = control.join(below);
        // As Kubernetes does it with `fsGroup` at every start.
        fs::set_permissions(&opened, fs::Permissions::from_mode(0o2770)).unwrap();
        let told = health();
        assert_eq!(told["healthy"], false, "{below}: {told}");
        assert_eq!(told["writable"], true, "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("its mode is 2770"), "{message}");
        assert!(message.contains("chmod -R go= "), "{message}");
        served.change("POST", "/charts/cleanup", None);
        let metrics = served.get("/metrics").text;
        assert!(
            metrics.contains("retain_store_healthy{store=\"charts\"} 0"),
            "{metrics}"
        );
        fs::set_permissions(&opened, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(health()["healthy"], true, "{}", health());
    }
}

#[test]
fn a_directory_that_is_removed_while_it_is_served_is_told_until_the_service_starts_again() {
    let mut served = production(&[("CHART_ENABLE_CLEANUP", "false")], |room| {
        for place in PLACES {
            fs::create_dir_all(room.join("data").join(place)).unwrap();
        }
        fs::create_dir(room.join("backups")).unwrap();
        fs::create_dir(room.join("state")).unwrap();
    });
    let ready = |served: &Served| served.get("/readyz").status;
    assert_eq!(ready(&served), 200);
    if served.log().contains("no Landlock") {
        return;
    }
    // Cleaned at night only.
    let results = served.path("data/analysis");
    let told = |served: &Served, words: &str| {
        let health = served.get("/v1/stores/analysis").json()["health"].clone();
        assert_eq!(health["healthy"], false, "{health}");
        assert_eq!(health["writable"], false, "{health}");
        let message = health["message"].as_str().unwrap();
        assert!(
            message.contains(words) && message.contains("restart retain"),
            "{message}"
        );
        let detail = served.get("/readyz").problem(503);
        assert_eq!(detail, message);
    };
    fs::remove_dir_all(&results).unwrap();
    told(&served, "was removed while the service ran");
    // Whoever makes it again makes another one.
    file(&results.join("MSFT/results.json"), 4096, 60);
    told(&served, "is another directory than when the service began");
    assert!(served.get("/v1/stores/logs").json()["health"]["healthy"] == true);
    served.again(|room| fs::remove_dir_all(room.join("data/logs")).unwrap());
    assert_eq!(ready(&served), 200);
    let health = served.get("/v1/stores/analysis").json()["health"].clone();
    assert_eq!(health["healthy"], true, "{health}");
    // It began without this one and may make it, so it may make whatever lies beside it.
    fs::remove_dir_all(&results).unwrap();
    let health = served.get("/v1/stores/analysis").json()["health"].clone();
    let message = health["message"].as_str().unwrap();
    assert!(
        message.ends_with("is not there; the next run makes it"),
        "{message}"
    );
    assert_eq!(ready(&served), 200);
    let apply = json!({ "apply": true });
    served.change("POST", "/v1/stores/analysis/runs", Some(&apply));
    assert!(results.is_dir());
}

#[test]
fn the_variables_of_the_charts_decide_what_goes_and_when() {
    let variables = [
        ("CHART_MAX_AGE_HOURS", "2"),
        ("CHART_MAX_SIZE_MB", "10"),
        ("CHART_CLEANUP_INTERVAL_MINUTES", "7"),
        ("CHART_ENABLE_CLEANUP", "false"),
    ];
    let make = |room: &Path| {
        let charts = room.join("data/charts");
        file(&charts.join("MSFT_1h/old.png"), 4096, 3 * 3600);
        for number in 0..3 {
            let chart = charts.join(format!("NVDA_1d/{number}.png"));
            file(&chart, 4_096_000, 3600 - number * 60);
        }
    };
    let served = production(&variables, make);
    let shown = served.get("/v1/stores/charts").json();
    assert_eq!(shown["enabled"], false, "{shown}");
    assert_eq!(shown["schedule"], "every 7 minutes", "{shown}");
    assert_eq!(shown["next"], Value::Null, "{shown}");
    let plan = served.change("POST", "/v1/stores/charts/runs", None).json();
    let mut gone: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["path"].as_str().unwrap())
        .collect();
    gone.sort_unstable();
    assert_eq!(gone, ["MSFT_1h/old.png", "NVDA_1d/0.png"], "{plan}");
    // On by default, and then it goes without being asked for.
    let served = production(&variables[..3], make);
    served.until("the old chart goes", || {
        !served.path("data/charts/MSFT_1h/old.png").exists()
    });
    served.until("the budget holds", || {
        !served.path("data/charts/NVDA_1d/0.png").exists()
    });
    assert!(served.path("data/charts/NVDA_1d/1.png").exists());
    served.until("the next turn is known", || {
        served.get("/v1/stores/charts").json()["next"] != Value::Null
    });
}

#[test]
fn recommendations_are_those_of_the_environment() {
    let make = |room: &Path| {
        for number in 0..3 {
            let chart = room.join(format!("charts/S{number}_1d/a.png"));
            file(&chart, 3_200_000, 3600);
        }
    };
    let variables = [
        ("STORAGE_CHARTS_PATH", "charts"),
        ("CHART_MAX_SIZE_MB", "10"),
    ];
    let told = |environment: &str| {
        let served = Served::deployed(environment, &variables, None, make);
        let advice = served.get("/storage/recommendations").json();
        assert_eq!(advice["environment"], environment, "{advice}");
        assert_eq!(advice, served.get("/v1/recommendations").json());
        advice["recommendations"].clone()
    };
    let find = |told: &Value, store: &str, kind: &str| {
        let mut found = told.as_array().unwrap().iter();
        found
            .find(|one| one["store"] == store && one["kind"] == kind)
            .map(|one| {
                assert!(!one["message"].as_str().unwrap().is_empty());
                one["severity"].as_str().unwrap().to_owned()
            })
    };
    let (development, production) = (told("development"), told("production"));
    let at = |severity: &str| Some(severity.to_owned());
    // What is usual at home is a danger in a container.
    assert_eq!(
        find(&development, "charts", "relative-path"),
        None,
        "{development}"
    );
    assert_eq!(
        find(&production, "charts", "relative-path"),
        at("warning"),
        "{production}"
    );
    assert_eq!(
        find(&production, "logs", "relative-path"),
        None,
        "{production}"
    );
    // Logs go for good: no copy, no grace.
    assert_eq!(
        find(&development, "logs", "no-backup"),
        at("info"),
        "{development}"
    );
    assert_eq!(
        find(&production, "logs", "no-backup"),
        at("warning"),
        "{production}"
    );
    for kept in ["analysis", "datasets", "enhanced-data"] {
        assert_eq!(find(&production, kept, "no-backup"), None, "{production}");
    }
    for told in [&development, &production] {
        assert_eq!(find(told, "charts", "near-budget"), at("info"), "{told}");
        assert_eq!(find(told, "charts", "unbounded"), None, "{told}");
    }
}

#[test]
fn the_six_routes_answer_on_the_deployment() {
    let served = production(&[("CHART_ENABLE_CLEANUP", "false")], |room| {
        for (chart, age) in [
            ("MSFT_1h/old.png", DAY),
            ("MSFT_1d/new.png", 3600),
            ("BRK-B_1d/new.png", 3600),
            ("AAPL_1h/earnings.png", DAY),
            ("MSFT_1d/notes.txt", DAY),
            // Where no chart can be is not even looked.
            ("comparison/of-all.png", DAY),
        ] {
            file(&room.join("data/charts").join(chart), 4096, age);
        }
    });
    let info = served.get("/storage/info").json();
    assert_eq!(info["total_files"], 5, "{info}");
    assert!(served.get("/storage/recommendations").json()["recommendations"].is_array());
    let stats = served.get("/charts/storage/stats").json();
    assert_eq!(stats["by"], json!(["symbol", "interval"]), "{stats}");
    assert_eq!(stats["groups_total"], 4, "{stats}");
    assert_eq!(stats["seen"]["uncovered"]["files"], 1, "{stats}");
    for (method, route) in [
        ("POST", "/charts/cleanup"),
        ("DELETE", "/charts/BRK-B/1d"),
        ("DELETE", "/charts/all"),
    ] {
        served.ask(method, route, &[], None).problem(401);
    }
    let there = |chart: &str| served.path("data/charts").join(chart).exists();
    let cleaned = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(
        (&cleaned["removed"], &cleaned["kept"]),
        (&json!(1), &json!(0)),
        "{cleaned}"
    );
    assert!(!there("MSFT_1h/old.png"));
    let deleted = served.change("DELETE", "/charts/BRK-B/1d", None).json();
    assert_eq!(deleted["removed"], 1, "{deleted}");
    let all = served.change("DELETE", "/charts/all", None).json();
    assert_eq!(all["removed"], 1, "{all}");
    assert!(!there("MSFT_1d/new.png"));
    // Protected, and what no collection names.
    for kept in [
        "AAPL_1h/earnings.png",
        "MSFT_1d/notes.txt",
        "comparison/of-all.png",
    ] {
        assert!(there(kept), "{kept}");
    }
    served.change("DELETE", "/charts/AAPL", None).problem(404);
    served.change("GET", "/charts/AAPL/1h", None).problem(405);
}

#[test]
fn successes_and_failures_of_clean_ups_are_counted() {
    let served = production(&[("CHART_ENABLE_CLEANUP", "false")], |room| {
        let data = room.join("data");
        file(&data.join("charts/MSFT_1h/old.png"), 8192, DAY);
        // Age counts from the last change as well, which no test can set back: by name.
        for number in 0..3 {
            file(
                &data.join(format!("charts/NVDA_1h/{number}.png")),
                4096,
                DAY,
            );
        }
        fs::create_dir(room.join("backups")).unwrap();
    });
    let cleaned = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(cleaned["removed"], 4, "{cleaned}");
    assert!(
        cleaned["freed"].as_u64().is_some() && cleaned["seconds"].is_number(),
        "{cleaned}"
    );
    let metrics = served.get("/metrics").text;
    for line in [
        "retain_runs_total{outcome=\"completed\",store=\"charts\"} 1",
        "retain_run_files_total{collection=\"charts\",outcome=\"trashed\"",
        "retain_run_bytes_total{collection=\"charts\"",
        "retain_last_success_timestamp_seconds{store=\"charts\"}",
        "retain_trash_files{store=\"charts\"} 4",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let runs = served.get("/v1/runs?store=charts").json();
    assert_eq!(runs[0]["removed"], 4, "{runs}");
    assert_eq!(runs[0]["state"], "completed", "{runs}");
    // One that cannot be: its place has lost its mark.
    fs::remove_dir_all(served.path("data/charts")).unwrap();
    fs::create_dir(served.path("data/charts")).unwrap();
    file(&served.path("data/charts/MSFT_1h/other.png"), 4096, DAY);
    let refused = served.change("POST", "/charts/cleanup", None);
    assert_eq!(refused.status, 409, "{refused:?}");
    let shown = served.get("/v1/stores/charts").json();
    assert_eq!(shown["last"]["outcome"], "refused", "{shown}");
    assert!(shown["last"]["message"].is_string(), "{shown}");
    let metrics = served.get("/metrics").text;
    for line in [
        "retain_runs_total{outcome=\"refused\",store=\"charts\"} 1",
        "retain_runs_total{outcome=\"completed\",store=\"charts\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(served.path("data/charts/MSFT_1h/other.png").exists());
}

/// Samples as a service would have taken them: one an hour, growing.
fn sampled(room: &Path, hours: i64, per_hour: i64) {
    let database = rusqlite::Connection::open(room.join("state/journal.sqlite3")).unwrap();
    let now = jiff::Timestamp::now().as_second();
    for back in 1..=hours {
        let at = now - back * 3600;
        let bytes = (hours - back) * per_hour;
        database
            .execute(
                "insert or replace into samples values ('charts', ?1, ?2, 10, ?3, 1000, 4000)",
                [at.div_euclid(3600), at, bytes],
            )
            .unwrap();
    }
}

#[test]
fn growth_is_followed_over_days_and_restarts() {
    let mut served = production(&[("CHART_ENABLE_CLEANUP", "false")], |room| {
        file(&room.join("data/charts/MSFT_1h/a.png"), 4096, 60);
    });
    // The first look makes the journal and the first sample.
    served.until("a first sample", || {
        let _ = served.get("/v1/stores/charts");
        let history = served.get("/v1/stores/charts/history").json();
        !history["samples"].as_array().unwrap().is_empty()
    });
    let per_hour = 50_000_000;
    served.again(|room| sampled(room, 72, per_hour));
    let history = served.get("/v1/stores/charts/history").json();
    let samples = history["samples"].as_array().unwrap();
    assert!(samples.len() >= 72, "{history}");
    let moment = |sample: &Value| {
        sample["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(
        samples
            .windows(2)
            .all(|pair| moment(&pair[0]) < moment(&pair[1]))
    );
    assert_eq!(samples[1]["disk_used_ratio"], 0.25, "{history}");
    let growth = served.get("/v1/stores/charts").json()["growth"].clone();
    let rate = growth["bytes_per_day"].as_f64().unwrap();
    assert!(
        growth["over_seconds"].as_u64().unwrap() > 20 * 3600,
        "{growth}"
    );
    assert!(rate > 0.0, "{growth}");
    let metrics = served.get("/metrics").text;
    assert!(
        metrics.contains("retain_store_growth_bytes_per_day{store=\"charts\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("retain_warn_growth_bytes_per_day{store=\"charts\"} 1000000000"),
        "{metrics}"
    );
}

#[test]
fn a_full_disk_and_growth_above_their_marks_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let make = |room: &Path| {
        charts(room);
        let marked = CHARTS.replace(
            "grace",
            "warn = { used = \"1%\", growth = \"1 GB per day\" }\ngrace",
        );
        let webhook = format!(
            "[service.webhook]\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret = {{ env = \"HOOK\" }}\n"
        );
        fs::write(room.join("retain.toml"), format!("{marked}{webhook}")).unwrap();
    };
    let mut served = Served::with(make, &[("HOOK", "a secret of some length")]);
    let told = || -> Value { serde_json::from_str(&receive(&listener).1).unwrap() };
    let disk = told();
    assert_eq!(disk["event"], "disk_above_mark", "{disk}");
    assert!(
        disk["details"]["used_ratio"].as_f64().unwrap() > 0.01,
        "{disk}"
    );
    served.until("a journal", || {
        let _ = served.get("/v1/stores/charts");
        served.path("state/journal.sqlite3").exists()
    });
    served.again(|room| sampled(room, 24, 100_000_000));
    let _ = served.get("/v1/stores/charts");
    // The disk is told of again by a service that has begun anew.
    let events = [told(), told()];
    let growth = events
        .iter()
        .find(|event| event["event"] == "growth_above_mark");
    let growth = growth.unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!(growth["store"], "charts", "{growth}");
    assert!(
        growth["details"]["bytes_per_day"].as_f64().unwrap() > 1e9,
        "{growth}"
    );
}

/// The whole deployment beside an application that never stops writing.
#[test]
fn the_seeds_deployment_runs_beside_a_writer_that_never_sees_it() {
    let served = Served::deployed(
        "development",
        &[
            ("CHART_MAX_SIZE_MB", "10"),
            ("CHART_CLEANUP_INTERVAL_MINUTES", "1"),
            ("STORAGE_BASE_PATH", ""),
        ],
        None,
        |room| {
            // Minutes are too long for a test.
            let configured = room.join("retain.toml");
            let text = fs::read_to_string(&configured).unwrap();
            let hurried =
                text.replace("INTERVAL_MINUTES:-15} min", "INTERVAL_MINUTES:-15} seconds");
            assert_ne!(hurried, text);
            fs::write(&configured, hurried).unwrap();
            for number in 0..40 {
                let charts = room.join("output/charts");
                file(&charts.join(format!("OLD_1h/{number}.png")), 50_000, DAY);
                file(
                    &charts.join(format!("AAPL_1h/{number}.png")),
                    10_000,
                    2 * DAY,
                );
            }
            file(&room.join("output/AAPL/analysis.json"), 1000, 60);
            file(&room.join("logs/app.log"), 1000, 90 * DAY);
            file(&room.join("logs/app.log.1"), 1000, DAY);
            file(&room.join("cache/quotes/.lock"), 0, 90 * DAY);
            file(
                &room.join("enhanced_sector_data/filtered_equity.csv"),
                1000,
                400 * DAY,
            );
        },
    );
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writer = thread::spawn({
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        let charts = served.path("output/charts");
        move || {
            let image = vec![9; 60_000];
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // As the application does: a directory a symbol, a draft, a rename.
                let directory = charts.join(format!("S{}_1h", number % 7));
                fs::create_dir_all(&directory).unwrap();
                let draft = directory.join(format!("{number}.png.tmp"));
                fs::write(&draft, &image).unwrap();
                let place = directory.join(format!("{number}.png"));
                fs::rename(&draft, &place).unwrap();
                // What was drawn just now is read at once, and is there.
                assert_eq!(fs::read(&place).unwrap().len(), image.len());
                // Time that passes faster than on the clock: what is more than a hundred
                // images old is an hour old, if the service has not taken it yet.
                if let Some(number) = number.checked_sub(100) {
                    let old = charts.join(format!("S{}_1h/{number}.png", number % 7));
                    if let Ok(file) = fs::File::options().write(true).open(old) {
                        let hour = Duration::from_secs(3600);
                        file.set_modified(SystemTime::now() - hour).unwrap();
                    }
                }
                written.store(number + 1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(8));
            }
        }
    });
    served.until("old charts have gone", || {
        !served.path("output/charts/OLD_1h/0.png").exists()
    });
    served.until("many were written", || {
        written.load(Ordering::Relaxed) > 400
    });
    let info = served.get("/storage/info").json();
    for store in [
        "analysis",
        "cache",
        "charts",
        "datasets",
        "enhanced-data",
        "logs",
    ] {
        assert_eq!(info["storage"][store]["health"]["healthy"], true, "{info}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer never sees an error");
    let bytes = || {
        let files = walkdir::WalkDir::new(served.path("output/charts"))
            .into_iter()
            .flatten();
        let counted = files.filter(|entry| {
            let text = entry.path().to_string_lossy();
            text.ends_with(".png") && !text.contains("/AAPL_") && !text.contains("/.retain/")
        });
        // One that goes while it is counted counts no more.
        counted
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .sum::<u64>()
    };
    // The last hundred images, 6 MB of them, are protected; the budget holds all the same.
    served.until("the budget holds", || bytes() <= 10_000_000);
    let last = written.load(Ordering::Relaxed) - 1;
    let last = format!("output/charts/S{}_1h/{last}.png", last % 7);
    assert!(served.path(&last).exists());
    for number in 0..40 {
        assert!(
            served
                .path(&format!("output/charts/AAPL_1h/{number}.png"))
                .exists()
        );
    }
    for kept in [
        "output/AAPL/analysis.json",
        "logs/app.log",
        "logs/app.log.1",
        "cache/quotes/.lock",
        "enhanced_sector_data/filtered_equity.csv",
    ] {
        assert!(served.path(kept).exists(), "{kept}");
    }
}
