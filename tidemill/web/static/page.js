// Makes a page live: events say what changed, and each region that waits for it gets itself again. Nothing else.
"use strict";
(() => {
  const LEAST_MS = 1000; // a region is renewed at most once in this time
  const FOLLOW_MS = 1000;
  const TICK_MS = 5000;
  const pause = document.getElementById("pause");
  const waiting = new Set(); // regions that changed while the page was paused or hidden
  const renewed = new Map();
  let paused = false;

  const regions = () => [...document.querySelectorAll("[data-live]")];
  const idle = () => paused || document.hidden;

  function renew(region) {
    if (idle()) { waiting.add(region.id); return; }
    const now = performance.now();
    const next = (renewed.get(region.id) ?? -LEAST_MS) + LEAST_MS;
    if (now < next) {
      if (!waiting.has(region.id)) { waiting.add(region.id); setTimeout(flush, next - now); }
      return;
    }
    renewed.set(region.id, now);
    waiting.delete(region.id);
    region.dispatchEvent(new Event("refresh"));
  }
  function flush() {
    if (!idle()) for (const region of regions()) if (waiting.has(region.id)) { waiting.delete(region.id); renew(region); }
  }
  function listen() {
    const found = regions();
    if (!found.length || !window.EventSource || !window.htmx) return;
    const run = found.map((each) => each.dataset.run).find(Boolean);
    let source = null, before = document.hidden;
    function open() {
      if (source || document.hidden) return;
      source = new EventSource("/events" + (run ? "?run=" + encodeURIComponent(run) : ""));
      source.addEventListener("open", () => { if (before) regions().forEach(renew); before = true; });
      source.addEventListener("changed", (event) => {
        const changed = new Set(JSON.parse(event.data));
        for (const each of regions()) if (each.dataset.live.split(" ").some((name) => changed.has(name))) renew(each);
      });
    }
    function close() { source?.close(); source = null; }
    // A browser has six connections for all tabs together: a tab that nobody sees keeps none.
    document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
    addEventListener("pagehide", close);
    addEventListener("pageshow", open);
    open();
    document.body.dataset.listens = "yes";
    pause.hidden = false;
  }
  function follow() {
    if (!idle()) for (const each of document.querySelectorAll("[data-follow]")) each.dispatchEvent(new Event("refresh"));
  }
  function zone() {
    // The first visit: tell the server the reader's zone, and show the page in it.
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!here || /(^|; )tidemill_zone=/.test(document.cookie)) return;
    document.cookie = "tidemill_zone=" + encodeURIComponent(here) + "; path=/; max-age=31536000; samesite=lax";
    const shown = document.getElementById("zone");
    if (shown && shown.dataset.zone !== here && /(^|; )tidemill_zone=/.test(document.cookie)) location.reload();
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume updates" : "Pause updates";
    flush();
  });
  document.addEventListener("visibilitychange", flush);
  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-search]");
    if (event.key !== "/" || !search || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    search.focus();
  });
  zone();
  listen();
  setInterval(follow, FOLLOW_MS);
  setInterval(() => { if (!idle()) document.querySelectorAll("[data-ticks]").forEach(renew); }, TICK_MS);
})();
