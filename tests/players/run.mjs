// Plays every endpoint of the demo in every player that speaks its format.
//
//   node run.mjs [--seconds 15] [-- arguments for scripts/demo]
//
// Starts scripts/demo, waits until it says that an endpoint plays, and runs play.mjs on it, one
// browser at a time. Ends with "N passed, N failed"; exit status 1 where something failed.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const RUNS = [
  ["hls", "demo-cmaf"], ["shaka", "demo-cmaf"],
  ["hls", "demo-hls"], ["shaka", "demo-hls"],
  ["dash", "demo-dash"], ["shaka", "demo-dash"],
];
// From the start of the demo (a build included) until its endpoints play.
const PLAYS_SECONDS_MAX = 900;

// Resolves to a map of endpoint → URL when the demo has said of every endpoint that it plays.
function endpointsOf(demo) {
  const wanted = new Set(RUNS.map(([, endpoint]) => endpoint));
  const urls = new Map();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`of ${[...wanted].join(", ")} only ${[...urls.keys()].join(", ") || "none"} played`)),
      PLAYS_SECONDS_MAX * 1000,
    );
    demo.once("exit", (status) => reject(new Error(`scripts/demo ended with ${status}`)));
    createInterface({ input: demo.stdout }).on("line", (line) => {
      console.log(`demo: ${line}`);
      const [, url, endpoint] = /^plays .*(http:\S+\/out\/v1\/([^/]+)\/\S+)$/.exec(line) ?? [];
      if (url) urls.set(endpoint, url);
      if (urls.size === wanted.size) {
        clearTimeout(timer);
        resolve(urls);
      }
    });
  });
}

async function playOne(player, url, seconds) {
  const child = spawn(process.execPath,
    [here("play.mjs"), "--player", player, "--url", url, "--seconds", String(seconds)],
    { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk) => { text += chunk; });
  const [status] = await once(child, "close");
  if (!text.trim()) return { faults: [`play.mjs ended with ${status}`] };
  return JSON.parse(text);
}

const { values, positionals } = parseArgs({
  options: { seconds: { type: "string", default: "15" } }, allowPositionals: true,
});
const demo = spawn(here("../../scripts/demo"), positionals, { stdio: ["ignore", "pipe", "inherit"] });
let passed = 0;
let failed = 0;
try {
  const urls = await endpointsOf(demo);
  for (const [player, endpoint] of RUNS) {
    const run = await playOne(player, urls.get(endpoint), Number(values.seconds));
    const good = run.faults.length === 0;
    if (good) passed += 1; else failed += 1;
    console.log(`${good ? "ok    " : "FAILED"} ${player} on ${endpoint}: ` + (good
      ? `${run.advance.toFixed(1)} s, ${run.frames} pictures, ${run.size}`
      : run.faults.join("; ")));
  }
} catch (error) {
  console.log(`FAILED: ${error.message}`);
  failed += 1;
} finally {
  demo.removeAllListeners("exit");
  demo.kill("SIGTERM");
  if (demo.exitCode === null) await once(demo, "close");
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
