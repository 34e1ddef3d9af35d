//! Whatever is wrong with a request, the answer is a problem, and documented.

use super::served::{Served, charts, count};

/// One request that is wrong in one way, with what it is answered.
struct Wrong {
    method: &'static str,
    route: &'static str,
    /// What the route's names are.
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Option<&'static str>,
    status: u16,
    kind: &'static str,
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const AUTH: (&str, &str) = ("Authorization", "Bearer a token of some length");

#[test]
fn every_kind_of_problem_is_answered_as_it_is_documented() {
    let large: &'static str = Box::leak("x".repeat(70_000).into_boxed_str());
    let runs = "/v1/stores/{store}/runs";
    let wrong = |method, route, path, headers, body, status, kind| Wrong {
        method,
        route,
        path,
        headers,
        body,
        status,
        kind,
    };
    let table = [
        wrong(
            "GET",
            "/v1/stores",
            "/v1/stores",
            &[("Host", "evil.example")],
            None,
            421,
            "host",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[],
            None,
            401,
            "unauthorized",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/nobody/runs",
            &[AUTH],
            None,
            404,
            "not-found",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/%FF/runs",
            &[AUTH],
            None,
            400,
            "unreadable",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[AUTH, JSON],
            Some("{"),
            400,
            "unreadable",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[AUTH, JSON],
            Some("[]"),
            422,
            "invalid",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[AUTH, JSON],
            Some("{\"x\":1}"),
            422,
            "invalid",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[AUTH],
            Some("{}"),
            415,
            "media-type",
        ),
        wrong(
            "POST",
            runs,
            "/v1/stores/charts/runs",
            &[AUTH, JSON],
            Some(large),
            413,
            "too-large",
        ),
        wrong(
            "PUT",
            "",
            "/v1/stores/charts/runs",
            &[AUTH],
            None,
            405,
            "method",
        ),
        wrong("GET", "", "/v1/nothing", &[], None, 404, "not-found"),
        wrong(
            "GET",
            "/v1/stores/{store}/stats",
            "/v1/stores/charts/stats?by=x",
            &[],
            None,
            422,
            "invalid",
        ),
        wrong(
            "GET",
            "/v1/stores/{store}/plan",
            "/v1/stores/charts/plan?limit=-1",
            &[],
            None,
            422,
            "invalid",
        ),
        wrong(
            "GET",
            "/v1/stores/{store}/history",
            "/v1/stores/x/history",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong("GET", "/v1/why", "/v1/why", &[], None, 422, "invalid"),
        wrong(
            "GET",
            "/v1/runs",
            "/v1/runs?limit=1&limit=2",
            &[],
            None,
            422,
            "invalid",
        ),
        wrong(
            "GET",
            "/v1/runs",
            "/v1/runs?store=x",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong(
            "GET",
            "/v1/runs/{run}",
            "/v1/runs/%2e%2e%2fx",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong(
            "GET",
            "/v1/runs/{run}/events",
            "/v1/runs/x/events",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong(
            "GET",
            "/v1/plans/{digest}",
            "/v1/plans/0",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong(
            "GET",
            "/v1/trash",
            "/v1/trash?store=x",
            &[],
            None,
            404,
            "not-found",
        ),
        wrong(
            "GET",
            "/v1/holds",
            "/v1/holds?stores=x",
            &[],
            None,
            422,
            "invalid",
        ),
        wrong(
            "DELETE",
            "/v1/stores/{store}/groups",
            "/v1/stores/charts/groups",
            &[AUTH],
            None,
            422,
            "invalid",
        ),
        wrong(
            "DELETE",
            "/charts/{symbol}/{interval}",
            "/charts/%FF/1h",
            &[AUTH],
            None,
            400,
            "unreadable",
        ),
        wrong(
            "DELETE",
            "/charts/all",
            "/charts/all",
            &[],
            None,
            401,
            "unauthorized",
        ),
        wrong(
            "POST",
            "/v1/undo",
            "/v1/undo",
            &[AUTH],
            None,
            415,
            "media-type",
        ),
        wrong(
            "POST",
            "/v1/restore",
            "/v1/restore",
            &[AUTH, JSON],
            Some("{\"store\":\"charts\",\"path\":\"/x\"}"),
            422,
            "invalid",
        ),
        wrong(
            "POST",
            "/v1/restore",
            "/v1/restore",
            &[AUTH, JSON],
            Some("{\"store\":\"charts\",\"path\":\"x\",\"at\":\"soon\"}"),
            422,
            "invalid",
        ),
        wrong(
            "POST",
            "/v1/holds",
            "/v1/holds",
            &[AUTH, JSON],
            Some("null"),
            422,
            "invalid",
        ),
        wrong(
            "POST",
            "/v1/holds/{name}/release",
            "/v1/holds/x/release",
            &[AUTH, JSON],
            Some("{\"store\":\"charts\",\"reason\":\" \"}"),
            422,
            "invalid",
        ),
    ];
    let served = Served::begin(charts);
    let document = served.get("/openapi.json").json();
    for Wrong {
        method,
        route,
        path,
        headers,
        body,
        status,
        kind,
    } in table
    {
        let answer = served.ask(method, path, headers, body);
        let detail = answer.problem(status);
        assert!(!detail.is_empty(), "{method} {path}: {answer:?}");
        let problem = answer.json();
        assert_eq!(
            problem["type"],
            format!("urn:retain:problem:{kind}"),
            "{method} {path}"
        );
        assert!(problem["title"].is_string(), "{answer:?}");
        if route.is_empty() {
            continue;
        }
        let responses = &document["paths"][route][method.to_lowercase()]["responses"];
        let known = responses
            .get(status.to_string())
            .unwrap_or(&responses["default"]);
        let content = &known["content"]["application/problem+json"]["schema"];
        assert_eq!(
            content["$ref"], "#/components/schemas/Problem",
            "{method} {route}: {responses}"
        );
    }
    // Every operation that needs the token says so, and no other does.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let secured = operation.get("security").is_some();
            assert_eq!(secured, method != "get", "{method} {path}");
            let documented = operation["responses"].get("401").is_some();
            assert_eq!(documented, method != "get", "{method} {path}");
        }
    }
    assert_eq!(count(&served.path("charts")), 10);
}
