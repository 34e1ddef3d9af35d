"""What no tool checks about deploy/ and docs/operate/ by itself. Called by .ci/deploy."""

import json
import re
import sys
from pathlib import Path

try:
    import yaml
except ImportError:
    yaml = None

OPERATE = Path("docs/operate")
RULES = Path("deploy/prometheus/retain.rules.yaml")
EVENTS = {
    "breaker_tripped",
    "run_failed",
    "budget_unmet",
    "disk_above_mark",
    "growth_above_mark",
    "plugin_failing",
    "no_success",
}
wrong = []


def expect(holds, sentence):
    if not holds:
        wrong.append(sentence)


def known_metrics():
    """Every name of the list, a histogram with what it is made of."""
    text = (OPERATE / "metrics.md").read_text()
    names = set(re.findall(r"`(retain_[a-z_]+)`", text))
    histograms = set(re.findall(r"`(retain_[a-z_]+)` \| [^|]+\| histogram", text))
    return names | {name + part for name in histograms for part in ("_bucket", "_sum", "_count")}


def metrics_in(text):
    # A job's name and a label's are written like metrics, but stand in quotes.
    return set(re.findall(r"\bretain_[a-z_]+", re.sub(r'"[^"]*"', "", text)))


def rules():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def manifests(example, with_plugin):
    def read(file):
        found = {}
        for document in yaml.safe_load_all(Path(file).read_text()):
            found[document["kind"], document["metadata"]["name"]] = document
        return found

    documents = read(example)
    variables = documents["ConfigMap", "storage-config"]["data"]
    table = Path("examples/stock-analysis/README.md").read_text()
    for name in variables:
        expect(f"`{name}`" in table, f"`{name}` of storage-config is no variable of the example")
    policies = documents["ConfigMap", "retain-config"]["data"]
    there = {"retain.toml"} | {file.name for file in Path("examples/stock-analysis/policies").iterdir()}
    expect(set(policies) == there, f"retain-config has {sorted(policies)}, the example {sorted(there)}")

    pod = documents["Deployment", "stock-analysis"]["spec"]["template"]["spec"]
    first, *others = pod["initContainers"]
    expect(first["name"] == "retain" and not others, "retain is the one init container")
    expect(first["restartPolicy"] == "Always", "retain is a native sidecar")
    expect(pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch", "`.retain` stays private")
    mounted = {item["path"] for volume in pod["volumes"] if volume["name"] == "retain-config"
               for item in volume["configMap"]["items"]}
    config = policies["retain.toml"]
    for policy in re.findall(r'^policy\s*=\s*"([^"]+)"', config, re.M):
        expect(policy in mounted, f"retain.toml names `{policy}`, which is not mounted there")

    pod = read(with_plugin)["Deployment", "stock-analysis"]["spec"]["template"]["spec"]
    order = [container["name"] for container in pod["initContainers"]]
    expect(order == ["retain-plugins", "retain"], f"plugins are there before retain starts: {order}")


def dashboard(file, expressions):
    board = json.loads(Path(file).read_text())
    panels = board["panels"]
    ids = [panel["id"] for panel in panels]
    expect(len(ids) == len(set(ids)), "two panels have one id")
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        expect(place["x"] + place["w"] <= 24, f"`{panel['title']}` stands outside of the page")
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"])
               for y in range(place["y"], place["y"] + place["h"])}
        expect(not own & cells, f"`{panel['title']}` covers another panel")
        cells |= own

    found = [(panel["title"], target) for panel in panels for target in panel.get("targets", [])]
    for title, target in found:
        expect(target["datasource"]["uid"] == "${datasource}", f"`{title}` has a data source of its own")
    texts = [target["expr"] for _, target in found] + [note["expr"] for note in board["annotations"]["list"]]
    queries = [variable["query"]["query"] for variable in board["templating"]["list"]
               if variable["type"] == "query"]
    for text in texts + queries:
        for name in metrics_in(text) - known_metrics():
            expect(False, f"no metric is called `{name}`")
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$([a-z]+)", " ".join(texts + queries)))
    expect(used <= variables, f"no variable is called {sorted(used - variables)}")

    # Ranges that Grafana fills in; other variables stand in quotes, where anything may.
    plain = [re.sub(r"\$__\w+", "5m", text) for text in texts]
    recorded = [{"record": f"check:panel:{index}", "expr": text} for index, text in enumerate(plain)]
    Path(expressions).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    schema(board)


def schema(board):
    """Read into Grafana's own types and written again: what they do not know is lost."""
    try:
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard
    except ImportError:
        print("skipped: the dashboard's types, no grafana-foundation-sdk")
        return
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    compare(board, again, "")


def compare(ours, theirs, place):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            # Their types leave out what is empty or off.
            if key in theirs:
                compare(value, theirs[key], f"{place}/{key}")
            else:
                expect(value in (False, None, "", [], {}), f"Grafana does not know `{place}/{key}`")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            compare(one, other, f"{place}/{index}")
    else:
        expect(ours == theirs, f"Grafana reads `{place}` as {theirs!r}")


def blocks(text):
    return re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.M | re.S)


def pages(directory):
    written = {page.name for page in (OPERATE / "alerts").iterdir()}
    named = set()
    for rule in rules():
        page = Path(rule["annotations"]["runbook_url"])
        expect(page.exists(), f"{rule['alert']} has no page {page}")
        named.add(page.name)
        title = page.read_text().splitlines()[0] if page.exists() else ""
        expect(rule["alert"] in title, f"{page} is not called after {rule['alert']}")
        for name in metrics_in(rule["expr"]) - known_metrics():
            expect(False, f"{rule['alert']}: no metric is called `{name}`")
    expect(written == named, f"pages without an alert: {sorted(written - named)}")
    events = {rule["labels"]["event"] for rule in rules() if "event" in rule["labels"]}
    expect(events == EVENTS, f"events without an alert, or the other way: {sorted(events ^ EVENTS)}")

    routes = json.loads((OPERATE / "openapi.json").read_text())["paths"]
    shapes = [re.compile(re.sub(r"\{\w+\}", "[^/]+", route)) for route in routes]
    Path(directory).mkdir()
    for page in sorted(OPERATE.rglob("*.md")):
        text = page.read_text()
        for asked in re.findall(r"\$API(/[^\s\"?`;]+)", text):
            there = asked == "/openapi.json" or any(shape.fullmatch(asked) for shape in shapes)
            expect(there, f"{page}: there is no route `{asked}`")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            expect((page.parent / link).exists(), f"{page}: `{link}` leads nowhere")
        for file in re.findall(r"`((?:deploy|docs|examples)/[\w./-]+)`", text):
            expect(Path(file).exists() or file == "deploy/token", f"{page}: there is no `{file}`")
        for index, (language, block) in enumerate(blocks(text)):
            if language == "console":
                lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
                block = "\n".join(lines) + "\n"
            if language in ("sh", "console"):
                name = "-".join(page.with_suffix("").parts) + f"-{index}.sh"
                (Path(directory) / name).write_text(block)


def signature(stamp, expected, body):
    [snippet] = [block for language, block in blocks((OPERATE / "webhook.md").read_text())
                 if language == "python"]
    names = {}
    exec(snippet, names)  # noqa: S102: it is ours, and what is tested
    genuine, now = names["genuine"], float(stamp)
    ours = (b"secret", stamp, f"sha256={expected}", body.encode())
    expect(genuine(*ours, now + 10), "a signature by openssl is not taken")
    expect(not genuine(*ours, now + 301), "an old one is taken")
    expect(not genuine(b"other", *ours[1:], now), "one of another secret is taken")
    expect(not genuine(*ours[:3], b"{}", now), "one of another body is taken")
    expect(not genuine(ours[0], str(int(stamp) + 1), *ours[2:], now), "one of another time is taken")
    expect(not genuine(*ours[:2], "sha256=é", ours[3], now), "what is no hexadecimal is taken")


def exposed(file):
    """What a running service shows is what the list of metrics says, names and kinds."""
    shown = re.findall(r"^# TYPE (\S+) (\S+)$", Path(file).read_text(), re.M)
    names = {name for name, _ in shown if name.startswith("retain_")}
    expect(names, "no metric of retain is shown")
    expect(names <= known_metrics(), f"not in docs/operate/metrics.md: {sorted(names - known_metrics())}")
    for name, kind in shown:
        expect((kind == "counter") == name.endswith("_total"), f"`{name}` is a {kind}")
    print(f"{len(names)} metrics are shown, all of them documented")


def commands():
    """Subcommands in the pages, as words to be given to `retain`."""
    nested = {"hold", "trash", "plugin", "audit", "catalogue"}
    found = set()
    for page in OPERATE.rglob("*.md"):
        for first, second in re.findall(r"(?<![\w/-])/?retain ([a-z]+)(?: ([a-z]+))?", code(page.read_text())):
            found.add(f"{first} {second}" if first in nested and second else first)
    print("\n".join(sorted(found)))


def code(text):
    inline = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    spans = re.findall(r"`([^`]+)`", inline)
    shell = [re.sub(r"\s#.*", "", block) for language, block in blocks(text) if language in ("sh", "console")]
    return "\n".join(spans + shell)


if __name__ == "__main__":
    if yaml is None and sys.argv[1] in ("manifests", "dashboard", "pages"):
        print(f"skipped: {sys.argv[1]}, no PyYAML")
        sys.exit(0)
    globals()[sys.argv[1]](*sys.argv[2:])
    for sentence in wrong:
        print(f"wrong: {sentence}")
    sys.exit(1 if wrong else 0)
