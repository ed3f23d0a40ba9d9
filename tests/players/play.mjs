// Plays one URL in headless Chromium and judges by the media element.
//
//   node play.mjs --player hls|shaka|dash --url URL [--seconds 15] [--screenshot FILE.png]
//                 [--cues TEXT] [--languages de,en]
//
// --cues wants a cue with this text to have been shown, --languages these languages of sound listed.
// Prints one JSON object; exit status 0 where the stream played, 1 where it did not, 2 for wrong
// arguments. The page comes from another origin (a port of its own) than the stream, so that CORS
// counts. Requests to any host but this machine are refused and counted as faults: a player that
// must ask a stranger for the time was not told it by the manifest.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const LIBRARIES = {
  hls: ["hls.js/dist/hls.min.js"],
  shaka: ["shaka-player/dist/shaka-player.compiled.js"],
  // The second one is its plug-in for Smooth Streaming.
  dash: ["dashjs/dist/modern/umd/dash.all.min.js", "dashjs/dist/modern/umd/dash.mss.min.js"],
};
const START_SECONDS_MAX = 20;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

async function servePage(player) {
  const page = (await readFile(here("page.html"), "utf8"))
    .replace("<script>", '<script src="/player.js"></script>\n<script>');
  const files = LIBRARIES[player].map((path) => readFile(here(`node_modules/${path}`), "utf8"));
  const library = (await Promise.all(files)).join("\n");
  const server = createServer((request, response) => {
    const [type, body] = request.url === "/" ? ["text/html", page]
      : request.url === "/player.js" ? ["text/javascript", library]
      : [null, ""];
    response.writeHead(type ? 200 : 404, type ? { "Content-Type": type } : {});
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

// Everything that is wrong with a finished run, as sentences; none where it played.
function faults(run, seconds, { cues, languages }) {
  const found = [...run.errors];
  if (!run.started) return [`did not start within ${START_SECONDS_MAX} s`, ...found];
  if (run.advance < seconds - 2) {
    found.push(`currentTime advanced ${run.advance.toFixed(2)} s in ${seconds} s`);
  }
  if (run.waiting > 0) found.push(`${run.waiting} stalls after the start`);
  if (run.seeking > 0) found.push(`${run.seeking} jumps after the start`);
  // 10 pictures a second is well under every test stream's rate and well over a slide show.
  if (run.frames < 10 * (seconds - 2)) found.push(`${run.frames} pictures in ${seconds} s`);
  if (run.buffered.length !== 1) {
    found.push(`buffered in ${run.buffered.length} pieces: ${JSON.stringify(run.buffered)}`);
  }
  if (cues && !run.cues.some((text) => text.includes(cues))) {
    found.push(`no cue with "${cues}" was shown: ${JSON.stringify(run.cues)}`);
  }
  const wanted = languages?.split(",") ?? [];
  if (!wanted.every((language) => run.audio.includes(language))) {
    found.push(`sound in ${JSON.stringify(run.audio)}, not in ${languages}`);
  }
  return found;
}

async function play({ player, url, seconds, screenshot, ...expected }) {
  const server = await servePage(player);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS,
  });
  const errors = [];
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => errors.push(`page: ${error.message}`));
    await page.route(({ hostname }) => hostname !== "127.0.0.1", (route) => {
      errors.push(`asked a stranger: ${route.request().url()}`);
      return route.abort();
    });
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.evaluate(([p, u]) => attach(p, u), [player, url]);
    await page.waitForFunction(() => seen.startedAt > 0, null, { timeout: START_SECONDS_MAX * 1000 })
      .catch(() => {});
    if (await page.evaluate(() => seen.startedAt > 0)) {
      const until = seconds * 1000;
      await page.waitForFunction((ms) => performance.now() - seen.startedAt >= ms, until,
        { timeout: until + 10_000 });
    }
    const run = await page.evaluate(() => report());
    if (screenshot) await page.screenshot({ path: screenshot });
    run.errors.push(...errors);
    return { player, url, faults: faults(run, seconds, expected), ...run };
  } finally {
    await browser.close();
    server.close();
  }
}

const { values } = parseArgs({
  options: {
    player: { type: "string" }, url: { type: "string" },
    seconds: { type: "string", default: "15" }, screenshot: { type: "string" },
    cues: { type: "string" }, languages: { type: "string" },
  },
});
const seconds = Number(values.seconds);
if (!(values.player in LIBRARIES) || !values.url || !(seconds >= 3)) {
  console.error("usage: node play.mjs --player hls|shaka|dash --url URL [--seconds N, 3 or more]");
  process.exit(2);
}
const result = await play({ ...values, seconds });
console.log(JSON.stringify(result));
process.exit(result.faults.length === 0 ? 0 : 1);
