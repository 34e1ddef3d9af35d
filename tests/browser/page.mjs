// The page, as somebody uses it: looked at, clicked, without script, on a phone.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [base, shots] = process.argv.slice(2);
const room = process.env.ROOM;
const token = readFileSync(join(room, "token"), "utf8").trim();
const axeFile = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

const wide = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };
const complaints = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: wide, ...options });
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A form that says no is answered with its status; the rest is ours to mend.
    const expected = page.expectsRefusal && /status of 4\d\d/.test(message.text());
    if (message.type() === "error" && !expected) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("data:")) {
      complaints.push(`${page.url()}: asks ${request.url()}`);
    }
  });
  return page;
}

async function signIn(page, back = "/") {
  await page.goto(base + "/session");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Signed in.").waitFor();
  if (back !== "/") await page.goto(base + back);
}

// By asking again: the page's own policy keeps the driver's way of waiting out.
async function until(page, holds, told) {
  for (const end = Date.now() + 15000; Date.now() < end;) {
    if (await page.evaluate(holds, told)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`never: ${holds}`);
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: join(shots, name + ".png"), fullPage: true });
}

async function fits(page) {
  const [inside, whole] = await page.evaluate(() => [
    document.documentElement.clientWidth, document.documentElement.scrollWidth,
  ]);
  assert.ok(whole <= inside, `${page.url()} is ${whole} wide where ${inside} are there`);
}

async function accessible(page) {
  // By the debugger's way in: the page's own policy lets no other script run.
  await page.evaluate(readFileSync(axeFile, "utf8"));
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
  }));
  const told = found.violations.map((violation) =>
    `${violation.id}: ${violation.help}\n    ` +
    violation.nodes.slice(0, 4).map((node) => node.html.slice(0, 160) + "\n      " + node.failureSummary).join("\n    "));
  assert.deepEqual(told, [], `${page.url()}\n${told.join("\n")}`);
}

const views = [
  ["overview", "/"], ["store", "/stores/charts"], ["store-now", "/stores/charts?when=now#plan"],
  ["uploads", "/stores/uploads"], ["runs", "/runs"], ["trash", "/trash"], ["holds", "/holds"],
  ["archives", "/stores/datasets/archives?path=2026/690-sectors.csv"],
  ["plugins", "/plugins"], ["advice", "/advice"], ["session", "/session"],
];

const steps = {
  async "a stranger on loopback may look and finds no form that changes something"() {
    const page = await open();
    for (const [, path] of views) {
      await page.goto(base + path);
      assert.equal(await page.locator('form[action^="/page/"]').count(), 0, path);
    }
    await page.goto(base + "/");
    for (const store of ["charts", "datasets", "logs", "uploads", "cache"]) {
      await page.getByRole("heading", { name: store, exact: true }).waitFor();
    }
    await page.getByText("unhealthy").first().waitFor();
    await page.context().close();
  },

  async "a wrong token is refused in words, the right one signs in, and one can sign out"() {
    const page = await open();
    await page.goto(base + "/session");
    page.expectsRefusal = true;
    await page.getByLabel("Token").fill("not the token");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This is not the token.").waitFor();
    page.expectsRefusal = false;
    await signIn(page);
    const cookie = (await page.context().cookies()).find((one) => one.name === "retain-session");
    assert.ok(cookie.httpOnly && cookie.sameSite === "Strict" && cookie.path === "/");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("Signed out.").waitFor();
    await page.goto(base + "/stores/charts");
    assert.equal(await page.getByRole("button", { name: "Run now" }).count(), 0);
    await page.context().close();
  },

  async "the plan says what goes and why, and a filter works without script"() {
    for (const javaScriptEnabled of [true, false]) {
      const page = await open({ javaScriptEnabled });
      await page.goto(base + "/stores/charts?when=now#plan");
      const rows = page.locator("table.steps tbody tr");
      const before = await rows.count();
      assert.ok(before > 5);
      await page.getByLabel("Path contains").fill("AAPL_1d/");
      await page.getByRole("button", { name: "Filter" }).click();
      await page.waitForURL(/path=AAPL/);
      const paths = await page.locator("table.steps td code.path").allTextContents();
      assert.ok(paths.length > 0 && paths.length < before);
      assert.ok(paths.every((path) => path.startsWith("AAPL_1d/")));
      await page.getByRole("link", { name: "Clear" }).click();
      await page.getByLabel("Rule").selectOption({ index: 1 });
      await page.getByRole("button", { name: "Filter" }).click();
      await page.waitForURL(/rule=[^&]*charts/);
      await page.locator("#groups table a").first().click();
      await page.waitForURL(/group=/);
      await page.context().close();
    }
  },

  async "a hold is added and released, each with a reason"() {
    const page = await open();
    await signIn(page, "/holds");
    await shot(page, "holds-empty");
    await page.getByLabel("Store").selectOption("charts");
    await page.getByLabel("Name").fill("earnings");
    await page.getByLabel("What it holds").fill("AAPL_1w/*");
    await page.getByRole("button", { name: "Hold" }).click();
    assert.ok(!page.url().includes("said="), "a reason is required");
    await page.getByLabel("Why").fill("the quarter is under review");
    await page.getByRole("button", { name: "Hold" }).click();
    await page.getByText("No run touches what it names").waitFor();
    await page.getByText("the quarter is under review").waitFor();
    await shot(page, "holds");
    await page.locator("summary", { hasText: "Release" }).click();
    await page.getByLabel("Why it is released").fill("the review is over");
    await page.getByRole("button", { name: "Release" }).click();
    await page.getByText("The policy decides again.").waitFor();
    await page.getByText("Nothing is held.").waitFor();
    page.expectsRefusal = true;
    await page.getByLabel("Name").fill("nonsense");
    await page.getByLabel("What it holds").fill("{");
    await page.getByLabel("Why").fill("to see what happens");
    await page.getByRole("button", { name: "Hold" }).click();
    await page.getByText("is no template").waitFor();
    await shot(page, "problem");
    await page.context().close();
  },

  async "a run is asked for and tells how far it has come"() {
    const page = await open();
    await signIn(page, "/stores/datasets");
    const before = await page.locator("#store-tiles .figure").first().textContent();
    await page.getByRole("button", { name: "Run now" }).click();
    await page.getByText("A run has begun.").waitFor();
    const words = page.locator("[data-progress-words]");
    await until(page, () => {
      const told = document.querySelector("[data-progress-words]")?.textContent ?? "";
      return /^[1-9]\d* of \d+$/.test(told.trim());
    });
    const first = parseInt(await words.textContent(), 10);
    await shot(page, "running");
    await until(page, (first) => {
      const told = document.querySelector("[data-progress-words]")?.textContent ?? "";
      return parseInt(told, 10) > first;
    }, first);
    await page.locator("#store-runs .pill", { hasText: "completed" }).waitFor();
    await page.locator(".progress").waitFor({ state: "hidden" });
    await until(page, (before) =>
      document.querySelector("#store-tiles .figure").textContent !== before, before);
    assert.ok(await page.getByRole("button", { name: "Run now" }).isEnabled());
    await page.locator("#store-runs tbody a").first().click();
    await page.getByRole("heading", { name: "Its files" }).waitFor();
    await page.getByText("removed").first().waitFor();
    await shot(page, "run");
    await accessible(page);
    await page.context().close();
  },

  async "a run works without script"() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page, "/stores/charts");
    await page.getByRole("button", { name: "Run now" }).click();
    await page.getByText("A run has begun.").waitFor();
    const done = page.locator("#store-runs .pill", { hasText: "completed" });
    for (let turn = 0; turn < 50 && (await done.count()) === 0; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await page.goto(base + "/stores/charts");
    }
    assert.equal(await done.count(), 1);
    await page.context().close();
  },

  async "one file and then a whole run come back from the trash"() {
    const page = await open();
    await signIn(page, "/trash");
    await page.locator("summary", { hasText: "Its files" }).first().click();
    const path = await page.locator("ul.rows code.path").first().textContent();
    assert.ok(!existsSync(join(room, "charts", path)));
    await shot(page, "trash-open");
    await page.getByRole("button", { name: `Put back ${path}` }).click();
    await page.getByText("Put back where it was.").waitFor();
    assert.ok(existsSync(join(room, "charts", path)));
    await page.getByRole("button", { name: "Put all back" }).click();
    await page.getByText("The trash is empty.").waitFor();
    await page.context().close();
  },

  async "an archived file is looked for, and brought back once somebody has seen which"() {
    const path = "2026/699-sectors.csv";
    const file = join(room, "datasets", path);
    const stranger = await open({ javaScriptEnabled: false });
    await stranger.goto(base + "/stores/datasets");
    await stranger.getByLabel("Path in the store").fill(path);
    await stranger.getByRole("button", { name: "Look for it" }).click();
    await stranger.getByRole("link", { name: "Sign in to bring it back" }).waitFor();
    assert.equal(await stranger.locator('form[action^="/page/"]').count(), 0);
    await stranger.context().close();
    const page = await open({ javaScriptEnabled: false });
    await signIn(page, "/stores/datasets");
    await page.getByLabel("Path in the store").fill(path);
    // From before there was any.
    await page.getByLabel("As it was at").fill("2001-01-01T12:00");
    await page.getByRole("button", { name: "Look for it" }).click();
    await page.getByText("No archived version is as old as that.").waitFor();
    await page.getByLabel("As it was at").fill("");
    await page.getByRole("button", { name: "Look for it" }).click();
    await page.getByText("would come back").waitFor();
    assert.ok(!existsSync(file));
    await shot(page, "archives-confirm");
    await page.getByRole("button", { name: "Bring it back" }).click();
    await page.getByText("Brought back, with the bytes it had.").waitFor();
    assert.ok(existsSync(file));
    // What is there is not overwritten.
    page.expectsRefusal = true;
    await page.getByRole("button", { name: "Bring it back" }).click();
    await page.getByRole("heading", { name: /not brought back/ }).waitFor();
    await shot(page, "archives-refused");
    await page.context().close();
  },

  async "the breaker latches, shows its plan, and is released in two steps, without script"() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page, "/stores/logs");
    await page.getByRole("button", { name: "Run now" }).click();
    const waits = page.getByRole("link", { name: "Look at the plan that waits" });
    for (let turn = 0; turn < 50 && (await waits.count()) === 0; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await page.goto(base + "/stores/logs");
    }
    await shot(page, "latched");
    await page.goto(base + "/");
    await page.getByText("waits for you").first().waitFor();
    await shot(page, "overview-latched");
    await page.goto(base + "/stores/logs");
    await waits.click();
    await page.getByRole("heading", { name: "The plan that waits" }).waitFor();
    await shot(page, "waiting");
    await page.getByRole("link", { name: "Release this plan" }).click();
    await page.getByRole("heading", { name: "Release the breaker?" }).waitFor();
    await shot(page, "confirm");
    const field = page.getByLabel("Repeat the first eight digits");
    const digits = await page.locator("label[for=repeat] code").textContent();
    const held = join(room, "logs/web/access.log.30.gz");
    assert.ok(existsSync(held));
    await field.fill(digits);
    await page.getByRole("button", { name: "Release and carry out" }).click();
    await page.getByText("The breaker was released").waitFor();
    for (let turn = 0; turn < 50 && existsSync(held); turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(!existsSync(held));
    await page.context().close();
  },

  async "an undo works without script"() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page, "/trash?store=logs");
    await page.getByRole("button", { name: "Put all back" }).click();
    await page.getByText("Put back where it was.").waitFor();
    await page.context().close();
  },

  async "wrong digits release nothing, and another version does not come back"() {
    const page = await open();
    await signIn(page);
    const csrf = await page.locator("input[name=csrf]").first().inputValue();
    const answer = await page.request.post(base + "/page/release", {
      form: { csrf, store: "logs", plan: "0".repeat(64), repeat: "11111111" },
    });
    assert.equal(answer.status(), 422);
    // Nor does a version that is not the one that was shown bring anything back.
    const path = "2026/690-sectors.csv";
    const other = await page.request.post(base + "/page/restore", {
      form: { csrf, store: "datasets", path, modified: "2001-01-01T00:00:00Z" },
    });
    assert.equal(other.status(), 409);
    assert.ok(!existsSync(join(room, "datasets", path)));
    const without = await page.request.post(base + "/page/run", { form: { store: "charts" } });
    assert.equal(without.status(), 403);
    await page.context().close();
  },

  async "colours follow the system, and the switch, and stay"() {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const page = await open({ colorScheme: "light" });
    await page.goto(base + "/");
    const light = await background(page);
    await page.getByRole("link", { name: "Dark colours" }).click();
    const dark = await background(page);
    assert.notEqual(dark, light);
    await page.goto(base + "/runs");
    assert.equal(await background(page), dark);
    await page.context().close();
    const bare = await open({ colorScheme: "light", javaScriptEnabled: false });
    await bare.goto(base + "/stores/charts?when=now");
    await bare.getByRole("link", { name: "Dark colours" }).click();
    await bare.waitForURL(/when=now/);
    await shot(bare, "store-dark-no-script");
    await bare.context().close();
  },

  async "the keyboard reaches everything and the first stop is the way to the content"() {
    const page = await open();
    await signIn(page, "/stores/charts");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    let ringed = 0;
    let stops = 0;
    for (; stops < 200; stops += 1) {
      await page.keyboard.press("Tab");
      const [name, style] = await page.evaluate(() => [
        document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle,
      ]);
      if (name === "BODY") break;
      if (style !== "none") ringed += 1;
    }
    assert.ok(stops < 200, "there is an end");
    assert.equal(ringed, stops, "every stop shows that it is one");
    await page.context().close();
  },

  async "nothing moves while the page settles"() {
    const page = await open();
    for (const path of ["/", "/stores/charts"]) {
      await page.goto(base + path);
      const shift = await page.evaluate(() => new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) sum += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve(sum), 1500);
      }));
      assert.ok(shift < 0.01, `${path} shifts by ${shift}`);
    }
    await page.context().close();
  },

  async "every view fits, is accessible, and can be looked at, wide and narrow, light and dark"() {
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of [["wide", wide], ["phone", phone]]) {
        const page = await open({ colorScheme, viewport });
        await signIn(page);
        for (const [name, path] of views) {
          if (name === "session") continue;
          await page.goto(base + path);
          await fits(page);
          await accessible(page);
          await shot(page, `${name}-${colorScheme}-${size}`);
        }
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.goto(base + "/session");
        await fits(page);
        await accessible(page);
        await shot(page, `session-${colorScheme}-${size}`);
        await page.context().close();
      }
    }
    const page = await open({ javaScriptEnabled: false, viewport: phone });
    await page.goto(base + "/");
    await shot(page, "overview-no-script-phone");
    await page.context().close();
  },
};

let failed = 0;
const only = process.env.ONLY;
for (const [name, step] of Object.entries(steps)) {
  if (only && !name.includes(only)) continue;
  const begun = Date.now();
  try {
    await step();
    assert.deepEqual(complaints.splice(0), []);
    console.log(`ok    ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${String(error.stack ?? error).split("\n").slice(0, 30).map((line) => "      " + line).join("\n")}`);
    complaints.length = 0;
  }
}
await browser.close();
console.log(failed === 0 ? "the page holds" : `${failed} of the page's promises do not hold`);
process.exit(failed === 0 ? 0 : 1);
