// A deployment to look at: stores with old and new files, a policy each, a token. Sizes
// and ages come from a small generator with a fixed seed, so every run sees the same.
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [room, port] = process.argv.slice(2);
let seed = 20260301;
const random = () => {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
};
const hour = 3600;
const day = 24 * hour;

function file(path, bytes, age) {
  const place = join(room, path);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, Buffer.alloc(Math.max(1, Math.round(bytes)), path));
  const at = Date.now() / 1000 - age;
  utimesSync(place, at, at);
}

const text = (path, lines) => {
  mkdirSync(dirname(join(room, path)), { recursive: true });
  writeFileSync(join(room, path), lines.join("\n") + "\n");
};

// Charts: a few symbols hold most of it, as in life.
const symbols = ["AAPL", "NVDA", "MSFT", "BRK-B", "RELIANCE", "TSLA", "AMZN", "INFY", "TCS", "SBIN", "KO", "ORCL"];
const intervals = ["1d", "1h", "15m", "1w"];
symbols.forEach((symbol, at) => {
  intervals.forEach((interval, column) => {
    const count = Math.max(2, Math.round(22 / (at * 0.6 + column + 1)));
    const base = at < 5 ? 0.4 * hour : at < 9 ? 2 * hour : 2 * day;
    for (let n = 0; n < count; n += 1) {
      const age = base + random() * (n % 3 === 0 ? 9 * hour : 3 * hour);
      file(`charts/${symbol}_${interval}/${n}-candles.png`, 8e3 + random() * 7e4, age);
    }
  });
});

// Logs: nearly all of it is old, so the breaker has something to refuse.
for (const service of ["web", "worker"]) {
  for (let n = 1; n <= 30; n += 1) {
    file(`logs/${service}/access.log.${n}.gz`, 2e4 + random() * 4e4, (8 + n) * day);
  }
  file(`logs/${service}/access.log`, 9e4, 60);
}

// Datasets: archived before they go.
for (let n = 0; n < 700; n += 1) {
  file(`datasets/2026/${String(n).padStart(3, "0")}-sectors.csv`, 2e3 + random() * 5e3, (40 + n * 0.5) * day);
}

mkdirSync(join(room, "uploads"), { recursive: true });
mkdirSync(join(room, "cold"), { recursive: true });

text("policies/charts.retain", [
  "edition 2026",
  'type interval = one of "15m", "1h", "1d", "1w"',
  'collection charts at "{symbol}_{interval:interval}/*.png" {',
  "    age is measured from last modified",
  '    @expired delete when older than 6 hours because "charts are drawn again on demand"',
  "    @symbol limit total size to 2 MB per {symbol}, evicting oldest first",
  "    @budget limit total size to 8 MB, evicting oldest first",
  "    @fresh keep for 10 min",
  "}",
  'stop never because "charts are drawn again on demand"',
]);
text("policies/logs.retain", [
  "edition 2026",
  'collection rotated at "{service}/{log}.log?*" {',
  "    age is measured from last modified",
  "    @old delete when older than 14 days",
  "    keep newest 2 per {service}",
  "}",
  "stop if a run would delete more than 20% of files",
]);
text("policies/datasets.retain", [
  "edition 2026",
  'collection datasets at "**/*" {',
  "    age is measured from last modified",
  "    @old delete when older than 90 days",
  "    keep newest 5",
  "    before delete, run backup into cold, otherwise keep",
  "}",
  'stop never because "each has a proved copy"',
]);
text("policies/uploads.retain", [
  "edition 2026",
  'collection uploads at "{tenant}/**/*" {',
  "    age is measured from last modified",
  "    limit total size to 1 GB, evicting oldest first",
  "}",
  "stop never",
]);
text("policies/cache.retain", [
  "edition 2026",
  'collection cache at "**/*" {',
  "    age is measured from last modified",
  "    delete when older than 1 day",
  "}",
]);
text("token", ["a-token-for-this-test"]);
text("retain.toml", [
  "[stores.charts]",
  'path = "charts"',
  'policy = "policies/charts.retain"',
  'cron = "0 3 * * *"',
  'grace = "1 hour"',
  "[stores.datasets]",
  'path = "datasets"',
  'policy = "policies/datasets.retain"',
  'cron = "30 2 * * *"',
  "[stores.logs]",
  'path = "logs"',
  'policy = "policies/logs.retain"',
  'cron = "0 4 * * 0"',
  'grace = "7 days"',
  "[stores.uploads]",
  'path = "uploads"',
  'policy = "policies/uploads.retain"',
  "[stores.cache]",
  'path = "not-mounted"',
  'policy = "policies/cache.retain"',
  "[destinations.cold]",
  `url = "file://${join(room, "cold")}"`,
  "[plugins.backup]",
  'wasm = "builtin:backup"',
  'grants = { destinations = ["cold"] }',
  "[service]",
  `listen = "127.0.0.1:${port}"`,
  'token = { file = "token" }',
  "[state]",
  'path = "state"',
]);
