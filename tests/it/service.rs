//! `retain serve` as its clients meet it.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::inventory::repository;
use super::served::{
    CHARTS, PATIENCE, POLICY, Served, TOKEN, charts, count, file, free_port, receive,
};
use super::shop::DAY;

#[test]
fn the_routes_of_the_seed_answer_as_they_did() {
    let served = Served::begin(charts);
    let info = served.get("/storage/info").json();
    let store = &info["storage"]["charts"];
    assert_eq!(store["health"]["healthy"], true, "{info}");
    assert_eq!(store["seen"]["total"]["files"], 10, "{info}");
    let advice = served.get("/storage/recommendations").json();
    assert!(advice["recommendations"].is_array(), "{advice}");
    let stats = served.get("/charts/storage/stats").json();
    assert_eq!(stats["groups_total"], 3, "{stats}");
    let group = json!({ "symbol": "MSFT", "interval": "1d" });
    let groups = stats["groups"].as_array().unwrap();
    assert!(
        groups
            .iter()
            .any(|g| g["group"] == group && g["files"] == 3),
        "{stats}"
    );

    let cleaned = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(cleaned["removed"], 3, "{cleaned}");
    assert_eq!(cleaned["trashed"], 3, "{cleaned}");
    assert!(!served.path("charts/MSFT_1d/0.png").exists());

    // Younger than its policy asks, but asked for; what is kept stays.
    let deleted = served.change("DELETE", "/charts/MSFT/1h", None).json();
    assert_eq!(deleted["removed"], 3, "{deleted}");
    let kept = served.change("DELETE", "/charts/AAPL/1h", None).json();
    assert_eq!(kept["removed"], 0, "{kept}");
    file(&served.path("charts/IBM_1h/0.png"), 10, 60);
    let all = served.change("DELETE", "/charts/all", None).json();
    assert_eq!(all["removed"], 1, "{all}");
    assert_eq!(count(&served.path("charts")), 4);

    // Who asked stands in the journal as the statement that took the file.
    let run = served
        .get(&format!("/v1/runs/{}", all["run"].as_str().unwrap()))
        .json();
    assert_eq!(run["files"][0]["rule"], "DELETE /charts/all", "{run}");
}

#[test]
fn a_group_is_a_value_and_never_a_path() {
    let served = Served::begin(charts);
    for path in [
        "/charts/..%2F..%2Fetc/1h",
        "/charts/*/1h",
        "/charts/%2E%2E/1h",
        "/charts/MSFT_1d%2F0/1h",
    ] {
        let answer = served.change("DELETE", path, None);
        assert_eq!(answer.json()["removed"], 0, "{path}: {answer:?}");
    }
    assert_eq!(count(&served.path("charts")), 10);
    // What a stranger writes is shown on terminals later, and is shown escaped.
    let run = served.change("DELETE", "/charts/%1B%5B2J/1h", None).json()["run"].clone();
    let told = served
        .get(&format!("/v1/runs/{}", run.as_str().unwrap()))
        .text;
    assert!(
        !told.contains('\u{1b}') && !told.contains("\\u001b["),
        "{told}"
    );
    for query in [
        "",
        "?symbol=",
        "?colour=red",
        "?all=true&symbol=AAPL",
        "?all=yes",
        "?symbol=AAPL&symbol=MSFT",
    ] {
        let path = format!("/v1/stores/charts/groups{query}");
        served.change("DELETE", &path, None).problem(422);
    }
    let shown = served.change(
        "DELETE",
        "/v1/stores/charts/groups?symbol=MSFT&dry_run=true",
        None,
    );
    assert_eq!(shown.json()["removed"]["files"], 6, "{shown:?}");
    assert_eq!(count(&served.path("charts")), 10);
    let gone = served.change("DELETE", "/v1/stores/charts/groups?symbol=MSFT", None);
    assert_eq!(gone.json()["removed"], 6, "{gone:?}");
}

#[test]
fn wrong_input_is_a_problem_in_words() {
    let served = Served::begin(charts);
    let listed = served.get("/v1/stores/chart").problem(404);
    assert!(listed.contains("`charts`"), "{listed}");
    served.get("/nothing").problem(404);
    served
        .ask(
            "PUT",
            "/v1/stores",
            &[("Authorization", &format!("Bearer {TOKEN}"))],
            None,
        )
        .problem(405);
    served.get("/v1/runs/none").problem(404);
    served.get("/v1/runs?limit=many").problem(422);
    served.get("/v1/runs?colour=red").problem(422);
    served.get("/v1/stores/charts/stats?by=colour").problem(422);
    served.get("/v1/stores/charts/plan?at=soon").problem(422);
    served
        .get("/v1/why?store=charts&path=../../etc/passwd")
        .problem(422);
    served
        .get("/v1/why?store=charts&path=nobody.png")
        .problem(404);
    served.get("/v1/plans/abc").problem(404);
    let runs = "/v1/stores/charts/runs";
    served
        .change("POST", runs, Some(&json!({ "aply": true })))
        .problem(422);
    served
        .change("POST", runs, Some(&json!({ "apply": "yes" })))
        .problem(422);
    served
        .change("POST", runs, Some(&json!({ "plan": "0123456789abcdef" })))
        .problem(404);
    served
        .change(
            "POST",
            runs,
            Some(&json!({ "apply": true, "release": true })),
        )
        .problem(422);
    let bearer = format!("Bearer {TOKEN}");
    let kind = ("Content-Type", "application/json");
    let auth = ("Authorization", bearer.as_str());
    served
        .ask("POST", runs, &[auth, kind], Some("{"))
        .problem(400);
    served
        .ask("POST", runs, &[auth], Some("apply"))
        .problem(415);
    let large = format!("{{\"plan\": \"{}\"}}", "0".repeat(100_000));
    served
        .ask("POST", runs, &[auth, kind], Some(&large))
        .problem(413);
    served
        .change(
            "POST",
            "/v1/undo",
            Some(&json!({ "store": "charts", "run": "none" })),
        )
        .problem(404);
    served
        .change(
            "POST",
            "/v1/undo",
            Some(&json!({ "store": "charts", "run": "../x" })),
        )
        .problem(404);
    served
        .change("POST", "/v1/restore", Some(&json!({ "store": "charts" })))
        .problem(422);
    served
        .change(
            "POST",
            "/v1/restore",
            Some(&json!({ "store": "charts", "run": "last" })),
        )
        .problem(404);
    served
        .change("DELETE", "/charts/%FF%FE/1h", None)
        .problem(400);
    for name in ["x\u{1b}[2J", "x\ny", " "] {
        let hold = json!({ "store": "charts", "name": name, "on": "**" });
        served.change("POST", "/v1/holds", Some(&hold)).problem(422);
    }
    let hold = json!({ "store": "charts", "name": "x", "on": "{" });
    served.change("POST", "/v1/holds", Some(&hold)).problem(422);
    served
        .change(
            "POST",
            "/v1/holds/none/release",
            Some(&json!({ "store": "charts", "reason": "why" })),
        )
        .problem(404);
    assert_eq!(count(&served.path("charts")), 10);
}

#[test]
fn changes_need_the_token_and_a_host_that_is_meant() {
    let served = Served::begin(charts);
    let cleanup = "/charts/cleanup";
    served.ask("POST", cleanup, &[], None).problem(401);
    for wrong in ["Bearer wrong", "Bearer ", "Basic YTpi", TOKEN] {
        served
            .ask("POST", cleanup, &[("Authorization", wrong)], None)
            .problem(401);
    }
    // A session that nobody opened.
    served
        .ask("POST", cleanup, &[("Cookie", "retain-session=00")], None)
        .problem(401);
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ] {
        served
            .ask("GET", "/v1/stores", &[("Host", host)], None)
            .problem(421);
    }
    for host in ["localhost", "localhost:1", "[::1]:80", "192.0.2.1"] {
        assert_eq!(
            served
                .ask("GET", "/v1/runs", &[("Host", host)], None)
                .status,
            200,
            "{host}"
        );
    }
    assert_eq!(count(&served.path("charts")), 10);
}

#[test]
fn a_run_is_dry_unless_it_is_asked_for_and_a_plan_is_carried_out_as_it_was_shown() {
    let served = Served::begin(charts);
    let runs = "/v1/stores/charts/runs";
    let shown = served.change("POST", runs, None).json();
    assert_eq!(shown["removed"]["files"], 3, "{shown}");
    assert_eq!(count(&served.path("charts")), 10);
    let digest = shown["digest"].as_str().unwrap();
    let again = served.get(&format!("/v1/plans/{digest}")).json();
    assert_eq!(again["steps"], shown["steps"]);
    // What has become old enough meanwhile is not in it.
    file(&served.path("charts/IBM_1h/0.png"), 10, DAY);
    let done = served
        .change("POST", runs, Some(&json!({ "plan": digest })))
        .json();
    assert_eq!(done["removed"], 3, "{done}");
    assert!(served.path("charts/IBM_1h/0.png").exists());
    served
        .change("POST", runs, Some(&json!({ "plan": digest })))
        .problem(409);

    let why = served.get("/v1/why?store=charts&path=AAPL_1h/0.png").json();
    assert_eq!(why["fate"], "keep", "{why}");
    assert!(why["statements"].as_array().unwrap().len() >= 2, "{why}");
}

#[test]
fn what_went_comes_back_and_is_held() {
    let served = Served::begin(|room| {
        charts(room);
        let policy = POLICY.replace("@expired", "before delete, run backup into cold\n@expired");
        fs::write(room.join("p.retain"), policy).unwrap();
        fs::create_dir(room.join("cold")).unwrap();
    });
    let done = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(
        (&done["removed"], &done["archived"]),
        (&json!(3), &json!(3)),
        "{done}"
    );
    // The page counts what the metrics count.
    let calls = "retain_plugin_calls_total{plugin=\"backup\",result=\"ok\"} ";
    let metrics = served.get("/metrics").text;
    let calls = metrics.split(calls).nth(1).unwrap().lines().next().unwrap();
    let page = served.get("/plugins").text;
    assert!(
        calls != "0" && page.contains(&format!("<dt>Calls</dt><dd>{calls}</dd>")),
        "{page}"
    );
    let run = done["run"].as_str().unwrap();
    let trash = served.get("/v1/trash").json();
    assert_eq!(trash[0]["files"], 3, "{trash}");
    let one = json!({ "store": "charts", "run": run, "path": "MSFT_1d/0.png" });
    let undone = served.change("POST", "/v1/undo", Some(&one)).json();
    assert_eq!(undone["back"], 1, "{undone}");
    assert!(served.path("charts/MSFT_1d/0.png").exists());
    // Its archive is still there, and nothing is overwritten.
    let wanted = json!({ "store": "charts", "run": run });
    let restored = served.change("POST", "/v1/restore", Some(&wanted)).json();
    assert_eq!(restored["back"].as_array().unwrap().len(), 2, "{restored}");
    assert_eq!(
        restored["failed"].as_array().unwrap().len(),
        1,
        "{restored}"
    );
    let holds = served.get("/v1/holds?store=charts").json();
    assert_eq!(holds.as_array().unwrap().len(), 2, "{holds}");
    let again = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(again["removed"], 0, "{again}");

    let hold = restored["hold"].as_str().unwrap();
    let release = json!({ "store": "charts", "reason": "seen" });
    let released = served.change("POST", &format!("/v1/holds/{hold}/release"), Some(&release));
    assert_eq!(released.status, 200, "{released:?}");
    let again = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(again["removed"], 2, "{again}");
    let new = json!({ "store": "charts", "name": "audit", "on": "MSFT_1h/**", "reason": "asked" });
    assert_eq!(
        served.change("POST", "/v1/holds", Some(&new)).json()["origin"],
        "manual"
    );
    let kept = served.change("DELETE", "/charts/MSFT/1h", None).json();
    assert_eq!(kept["removed"], 0, "{kept}");
}

#[test]
fn the_breaker_answers_with_the_plan_and_how_to_release_it() {
    let served = Served::begin(|room| {
        charts(room);
        let policy = POLICY.replace(
            "stop never because \"charts are drawn again\"",
            "stop if a run would delete more than 2 files",
        );
        fs::write(room.join("p.retain"), policy).unwrap();
    });
    let refused = served.change("DELETE", "/charts/MSFT/1h", None);
    refused.problem(409);
    let plan = refused.json()["plan"].as_str().unwrap().to_owned();
    // A request's mistake does not stop the schedule.
    assert_eq!(served.get("/v1/stores/charts").json()["latch"], Value::Null);
    let runs = "/v1/stores/charts/runs";
    served
        .change("POST", runs, Some(&json!({ "plan": plan })))
        .problem(409);
    let done = served
        .change(
            "POST",
            runs,
            Some(&json!({ "plan": plan, "release": true })),
        )
        .json();
    assert_eq!(done["removed"], 3, "{done}");

    served.change("POST", "/charts/cleanup", None).problem(409);
    let latch = served.get("/v1/stores/charts").json()["latch"].clone();
    assert_eq!(latch["cause"], "breaker", "{latch}");
    served
        .change("POST", runs, Some(&json!({ "apply": true })))
        .problem(409);
    let release = json!({ "plan": latch["plan"], "release": true });
    let done = served.change("POST", runs, Some(&release)).json();
    assert_eq!(done["removed"], 3, "{done}");
    assert_eq!(served.get("/v1/stores/charts").json()["latch"], Value::Null);
    let metrics = served.get("/metrics").text;
    assert!(
        metrics.contains("retain_breaker_latched{store=\"charts\"} 0"),
        "{metrics}"
    );
}

/// The six routes and what stands for them.
#[test]
fn the_document_of_the_api_is_the_one_that_is_committed() {
    let golden = repository("docs/operate/openapi.json");
    let document = retain::service::openapi();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&golden, format!("{document}\n")).unwrap();
    }
    let committed = fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        committed.trim_end() == document,
        "docs/operate/openapi.json is not what the code says; `UPDATE_DOCS=1 cargo test --test it service` writes it"
    );
    // Every route of the document is one, and knows its methods.
    let served = Served::begin(charts);
    assert_eq!(
        served.get("/openapi.json").json(),
        serde_json::from_str::<Value>(&document).unwrap()
    );
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, methods) in document["paths"].as_object().unwrap() {
        let concrete = path
            .replace("{store}", "charts")
            .replace("{run}", "none")
            .replace("{digest}", "0123456789abcdef")
            .replace("{name}", "none")
            .replace("{symbol}", "none")
            .replace("{interval}", "none");
        for method in methods.as_object().unwrap().keys() {
            if path.contains("/events") {
                continue;
            }
            let answer = served.change(&method.to_uppercase(), &concrete, None);
            assert!(
                ![405, 500].contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
            let responses = &methods[method]["responses"];
            let known = responses.get(answer.status.to_string());
            // What any request can meet is in `default`.
            let any = known.is_none() && matches!(answer.status, 415 | 422);
            let known = known.is_some() || any && responses.get("default").is_some();
            assert!(
                known,
                "{method} {path} answers {}: {answer:?}",
                answer.status
            );
        }
    }
}

#[test]
fn a_schedule_is_kept_and_a_broken_policy_does_not_stop_it() {
    let served = Served::begin(|room| {
        charts(room);
        let configured = CHARTS.replace("grace", "every = \"2 seconds\"\ngrace");
        fs::write(room.join("retain.toml"), configured).unwrap();
    });
    served.until("the first turn", || {
        !served.path("charts/MSFT_1d/0.png").exists()
    });
    // Not even a policy that would delete everything, were it read halfway.
    fs::write(
        served.path("p.retain"),
        "edition 2026\ncollection charts at \"**\" { delete alwa",
    )
    .unwrap();
    served.until("the refusal", || {
        served.get("/v1/stores").json()["configuration"]["successful"] == false
    });
    assert!(
        served
            .get("/metrics")
            .text
            .contains("retain_config_last_reload_successful 0")
    );
    file(&served.path("charts/IBM_1d/0.png"), 10, DAY);
    served.until("a turn under the policy before", || {
        !served.path("charts/IBM_1d/0.png").exists()
    });
    assert!(served.path("charts/MSFT_1h/0.png").exists());
    fs::write(
        served.path("p.retain"),
        POLICY.replace("6 hours", "1 second"),
    )
    .unwrap();
    served.until("the new policy", || {
        !served.path("charts/MSFT_1h/0.png").exists()
    });
    assert_eq!(
        served.get("/v1/stores").json()["configuration"]["successful"],
        true
    );
    assert!(served.path("charts/AAPL_1h/0.png").exists());
}

#[test]
fn what_is_too_full_is_relieved_between_two_turns() {
    let served = Served::begin(|room| {
        fs::write(room.join("retain.toml"), CHARTS).unwrap();
        let policy = "edition 2026\ncollection charts at \"**\" {\nage is measured from last modified\n}\n\
            when store is above 1 MB, free until below 500 kB { evict from charts, oldest first }\n\
            stop never because \"charts are drawn again\"\n";
        fs::write(room.join("p.retain"), policy).unwrap();
        for number in 0..8 {
            file(
                &room.join(format!("charts/{number}.png")),
                100_000,
                1000 - number,
            );
        }
    });
    // Looking is what tells the service how large a store is.
    assert_eq!(
        served.get("/v1/stores/charts").json()["running"],
        Value::Null
    );
    for number in 8..16 {
        file(
            &served.path(&format!("charts/{number}.png")),
            100_000,
            900 - number,
        );
    }
    served.until("relief", || {
        let _ = served.get("/v1/stores/charts");
        count(&served.path("charts")) <= 5
    });
    assert!(served.path("charts/15.png").exists());
    served.until("the run's end", || {
        served.get("/v1/stores/charts").json()["last"]["cause"] == "pressure"
    });
}

#[test]
fn a_run_tells_how_far_it_is() {
    let served = Served::begin(|room| {
        charts(room);
        for number in 0..6000 {
            file(&room.join(format!("charts/IBM_1d/{number}.png")), 10, DAY);
        }
    });
    let heard = thread::scope(|scope| {
        let (listens, begins) = std::sync::mpsc::channel();
        let served = &served;
        let listening = scope.spawn(move || {
            let uri = format!("http://127.0.0.1:{}/v1/events", served.port);
            // Whoever has the head of the answer misses nothing from there on.
            let mut response = ureq::get(&uri).call().unwrap();
            listens.send(()).unwrap();
            let mut reader = response.body_mut().as_reader();
            let (mut text, mut part) = (String::new(), [0; 4096]);
            while !text.contains("run-finished") {
                let length = reader.read(&mut part).unwrap();
                assert!(length > 0, "the stream ended early: {text}");
                text.push_str(std::str::from_utf8(&part[..length]).unwrap());
            }
            text
        });
        begins.recv_timeout(PATIENCE).unwrap();
        let done = served.change("POST", "/charts/cleanup", None).json();
        assert_eq!(done["removed"], 6003, "{done}");
        listening.join().unwrap()
    });
    let events: Vec<Value> = heard
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let words: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(words.first(), Some(&"run-started"), "{words:?}");
    assert!(words.contains(&"run-progress"), "{words:?}");
    assert_eq!(words.last(), Some(&"run-finished"), "{words:?}");
    // One that has ended says so at once.
    let run = events[0]["run"].as_str().unwrap();
    let told = served.get(&format!("/v1/runs/{run}/events")).text;
    assert!(
        told.contains("run-finished") && told.contains("completed"),
        "{told}"
    );
}

#[test]
fn it_ends_in_time_in_the_middle_of_a_run_and_nothing_is_half_known() {
    let mut served = Served::begin(|room| {
        charts(room);
        let policy = POLICY.replace("@expired", "before delete, run backup into cold\n@expired");
        fs::write(room.join("p.retain"), policy).unwrap();
        fs::create_dir(room.join("cold")).unwrap();
        for number in 0..4000 {
            file(&room.join(format!("charts/IBM_1d/{number}.png")), 1000, DAY);
        }
    });
    let started = served.ask(
        "POST",
        "/v1/stores/charts/runs",
        &[
            ("Authorization", &format!("Bearer {TOKEN}")),
            ("Content-Type", "application/json"),
            ("Prefer", "respond-async"),
        ],
        Some("{\"apply\": true}"),
    );
    assert_eq!(started.status, 202, "{started:?}");
    served.until("some files have gone", || {
        count(&served.path("charts")) < 3900
    });
    let took = served.terminate();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let left = count(&served.path("charts"));
    assert!(left > 7, "it was to be ended in the middle");
    let retain = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_retain"))
            .args(arguments)
            .current_dir(served.room.path())
            .env_clear()
            .env("HOME", served.room.path())
            .env("TOKEN", TOKEN)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let run: Value = serde_json::from_str(&retain(&["runs", "last", "--format", "json"])).unwrap();
    assert_eq!(run["state"], "cancelled", "{}", served.log());
    let gone = run["removed"].as_u64().unwrap();
    assert_eq!(usize::try_from(gone).unwrap(), 4010 - left);
    assert!(
        retain(&["audit", "verify"]).contains("whole") || !retain(&["audit", "verify"]).is_empty()
    );
}

#[test]
fn an_open_service_without_a_token_does_not_start() {
    let room = TempDir::new().unwrap();
    charts(room.path());
    let text = format!(
        "{CHARTS}\n[service]\nlisten = \"0.0.0.0:{}\"\n",
        free_port()
    );
    fs::write(room.path().join("retain.toml"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_retain"))
        .arg("serve")
        .current_dir(room.path())
        .env_clear()
        .env("HOME", room.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("open to others"), "{said}");
}

#[test]
fn whoever_is_to_know_is_told_once_and_with_a_signature() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Served::with(
        |room| {
            charts(room);
            let policy = POLICY.replace(
                "stop never because \"charts are drawn again\"",
                "stop if a run would delete more than 2 files",
            );
            fs::write(room.join("p.retain"), policy).unwrap();
            let webhook = format!(
                "[service.webhook]\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret = {{ env = \"HOOK\" }}\n"
            );
            fs::write(room.join("retain.toml"), format!("{CHARTS}{webhook}")).unwrap();
        },
        &[("HOOK", "a secret of some length")],
    );
    served.change("POST", "/charts/cleanup", None).problem(409);
    let (head, body) = receive(&listener);
    let alert: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(alert["event"], "breaker_tripped", "{alert}");
    assert_eq!(alert["store"], "charts", "{alert}");
    assert!(head.contains("x-retain-signature: sha256="), "{head}");
    assert!(head.contains("x-retain-timestamp:"), "{head}");
    // A second time is no news.
    served.change("POST", "/charts/cleanup", None).problem(409);
    listener.set_nonblocking(true).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(listener.accept().is_err());
    served.until("it is counted", || {
        served
            .get("/metrics")
            .text
            .contains("retain_webhook_deliveries_total{result=\"delivered\"} 1")
    });
}

/// A configuration whose plugin is a file, pinned to what it is.
fn pinned(room: &Path, wasm: &[u8]) {
    charts(room);
    fs::write(room.join("mine.wasm"), wasm).unwrap();
    let configured = CHARTS
        .replace(
            "[plugins.backup]\nwasm = \"builtin:backup\"",
            "[plugins.mine]\nwasm = \"mine.wasm\"",
        )
        .replace("grace", "every = \"1 second\"\ngrace");
    let pin = format!("sha256 = \"{}\"\n[state]", sha256(wasm));
    fs::write(
        room.join("retain.toml"),
        configured.replace("[state]", &pin),
    )
    .unwrap();
    let policy = POLICY.replace(
        "@expired",
        "before delete, run mine into cold, otherwise keep\n@expired",
    );
    fs::write(room.join("p.retain"), policy).unwrap();
}

fn sha256(wasm: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(wasm);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn builtin(name: &str) -> Vec<u8> {
    let mut all = retain::plugin::builtins().iter();
    all.find(|builtin| builtin.name == name).unwrap().wasm()
}

#[test]
fn a_changed_plugin_is_refused_where_it_is_pinned_and_the_one_before_goes_on() {
    let (old, new) = (builtin("backup"), builtin("dedup-backup"));
    let served = Served::begin(|room| pinned(room, &old));
    served.until("the first archive", || {
        served.path("cold/charts/MSFT_1d").exists()
    });
    fs::write(served.path("mine.wasm"), &new).unwrap();
    served.until("the refusal", || {
        served.get("/v1/stores").json()["configuration"]["successful"] == false
    });
    let said = served.get("/v1/stores").json()["configuration"]["message"].clone();
    let said = said.as_str().unwrap().replace("\n  │ ", " ");
    for digest in [sha256(&old), sha256(&new)] {
        assert!(said.contains(&digest), "{digest}: {said}");
    }
    file(&served.path("charts/IBM_1d/0.png"), 10, DAY);
    served.until("an archive by the plugin before", || {
        served.path("cold/charts/IBM_1d").exists()
    });
    assert!(!served.path("cold/objects").exists());

    // Somebody says that the new one is meant.
    let file_ = served.path("retain.toml");
    let text = fs::read_to_string(&file_).unwrap();
    fs::write(&file_, text.replace(&sha256(&old), &sha256(&new))).unwrap();
    file(&served.path("charts/SAP_1d/0.png"), 20, DAY);
    served.until("an archive by the new plugin", || {
        if !served.path("charts/SAP_1d/0.png").exists() {
            file(&served.path("charts/SAP_1d/0.png"), 20, DAY);
        }
        served.path("cold/objects").exists()
    });
    assert_eq!(
        served.get("/v1/stores").json()["configuration"]["successful"],
        true
    );
}

#[test]
fn a_changed_plugin_without_a_pin_is_taken_up() {
    let served = Served::begin(|room| {
        pinned(room, &builtin("backup"));
        let configured = fs::read_to_string(room.join("retain.toml")).unwrap();
        let lines = configured
            .lines()
            .filter(|line| !line.starts_with("sha256"));
        fs::write(
            room.join("retain.toml"),
            lines.collect::<Vec<_>>().join("\n"),
        )
        .unwrap();
    });
    // Half a file, as a copy in progress leaves it, changes nothing.
    let whole = builtin("dedup-backup");
    fs::write(served.path("mine.wasm"), &whole[..whole.len() / 2]).unwrap();
    served.until("the refusal", || {
        served.get("/v1/stores").json()["configuration"]["successful"] == false
    });
    file(&served.path("charts/IBM_1d/0.png"), 10, DAY);
    served.until("an archive by the plugin before", || {
        served.path("cold/charts/IBM_1d").exists()
    });
    fs::write(served.path("mine.wasm"), whole).unwrap();
    served.until("the new plugin", || {
        served.get("/v1/stores").json()["configuration"]["successful"] == true
    });
    file(&served.path("charts/SAP_1d/0.png"), 20, DAY);
    served.until("an archive by the new plugin", || {
        served.path("cold/objects").exists()
    });
}

#[test]
fn a_store_with_an_index_is_shown_as_it_was_last_seen_less_what_runs_took() {
    let served = Served::begin(|room| {
        charts(room);
        let indexed = CHARTS.replace("grace = \"1 hour\"", "index = true");
        fs::write(room.join("retain.toml"), indexed).unwrap();
    });
    let seen = || served.get("/v1/stores/charts").json()["seen"].clone();
    let before = seen();
    assert_eq!(before["total"]["files"], 10, "{before}");
    assert_eq!(before["removable"]["files"], 3, "{before}");
    assert_eq!(before["collections"][0]["files"], 9, "{before}");
    let apply = json!({ "apply": true });
    let run = served.change("POST", "/v1/stores/charts/runs", Some(&apply));
    assert_eq!(run.json()["removed"], 3);
    let after = seen();
    assert_eq!(after["at"], before["at"], "{after}");
    assert_eq!(after["total"]["files"], 7, "{after}");
    assert_eq!(after["removable"]["files"], 0, "{after}");
    assert!(served.path("state/index/charts").exists());
    // Who asks for groups has every file looked at.
    let groups = "/v1/stores/charts/stats?by=symbol";
    let stats = served.get(groups).json();
    assert_eq!(stats["groups_total"], 2, "{stats}");
    assert_eq!(stats["seen"]["total"]["files"], 7, "{stats}");
}
