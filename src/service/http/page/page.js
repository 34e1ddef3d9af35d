// Keeps the page fresh while it is open: how long ago things were, how far a run has
// come, what changed when it ended. Without it everything works by links and forms.
"use strict";

// Words for a distance in time, as the server writes them.
function distance(seconds, moment) {
  const away = Math.abs(seconds);
  if (away < 45) return seconds > 0 ? "in a moment" : "just now";
  let span;
  if (away < 3600) span = Math.max(1, Math.floor(away / 60)) + "\u00a0min";
  else if (away < 172800) span = Math.floor(away / 3600) + "\u00a0h";
  else if (away < 5184000) span = Math.floor(away / 86400) + "\u00a0days";
  else return moment.toISOString().slice(0, 10);
  return seconds > 0 ? "in " + span : span + " ago";
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    const words = distance(Math.trunc((moment - Date.now()) / 1000), moment);
    if (time.textContent !== words) time.textContent = words;
  }
}
setInterval(refreshTimes, 10000);

// Colours: the links set a cookie and come back; here they need no second page.
for (const link of document.querySelectorAll("[data-theme-to]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const theme = link.dataset.themeTo;
    document.documentElement.dataset.theme = theme;
    document.cookie = `retain-theme=${theme}; SameSite=Strict; Path=/; Max-Age=31536000`;
    for (const other of document.querySelectorAll("[data-theme-to]")) {
      if (other === link) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
  });
}

// What was said once is not said again when the page is loaded again.
if (document.querySelector("[data-said]")) {
  const address = new URL(location.href);
  address.searchParams.delete("said");
  history.replaceState(null, "", address);
}

// Replaces what can change by what it is now. Whatever somebody is writing in stays.
let refreshing = false;
let again = false;
async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const replacement = fresh.getElementById(old.id);
        if (replacement && !old.contains(document.activeElement)) old.replaceWith(replacement);
      }
      refreshTimes();
    }
  } catch {
    // The service may be restarting; the next event or minute tries again.
  }
  refreshing = false;
  if (again) { again = false; refresh(); }
}

function show(place, event) {
  const progress = place.matches(".progress") ? place : place.querySelector(".progress");
  if (!progress) return;
  progress.hidden = false;
  const words = progress.querySelector("[data-progress-words]");
  const fill = progress.querySelector(".fill");
  const share = event.files ? event.done / event.files : 0;
  if (words) words.textContent = `${event.done} of ${event.files}`;
  if (fill) fill.setAttribute("width", (share * 100).toFixed(1) + "%");
}

function hide(place) {
  const progress = place.matches(".progress") ? place : place.querySelector(".progress");
  if (progress) progress.hidden = true;
}

function places(event) {
  const all = document.querySelectorAll("[data-progress], [data-run]");
  return [...all].filter((place) =>
    place.dataset.run ? place.dataset.run === event.run : place.dataset.progress === event.store);
}

function running(store, goesOn) {
  const slot = document.querySelector(`[data-store="${CSS.escape(store)}"]`);
  const button = slot && document.querySelector("[data-run-now]");
  if (button) button.disabled = goesOn;
}

if (document.querySelector("[data-live]")) {
  const events = new EventSource("/v1/events");
  events.onmessage = (message) => {
    const event = JSON.parse(message.data);
    switch (event.event) {
      case "run-started":
      case "run-progress":
        running(event.store, true);
        for (const place of places(event)) show(place, { done: 0, ...event });
        break;
      case "run-finished":
      case "run-refused":
        running(event.store, false);
        for (const place of places(event)) hide(place);
        // The store is noted as idle a moment after the event.
        setTimeout(refresh, 200);
        break;
      case "reloaded":
        setTimeout(refresh, 200);
        break;
    }
  };
  // What was running when the page was made may have ended before anybody listened.
  events.onopen = () => { if (document.querySelector(".progress:not([hidden])")) refresh(); };
  addEventListener("pagehide", () => events.close());
  // Only where looking costs little: the overview's numbers are kept half a minute.
  if (location.pathname === "/") {
    setInterval(() => { if (document.visibilityState === "visible") refresh(); }, 60000);
  }
}
