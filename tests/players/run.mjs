// Plays every endpoint of the demo in every player that speaks its format.
//
//   node run.mjs [--seconds 15] [--kill-every SECONDS] [-- arguments for scripts/demo]
//
// Starts scripts/demo, waits until it says that an endpoint plays, and runs play.mjs on it, one
// browser at a time. With --kill-every, each player has one endpoint, the demo's two encoders are
// killed in turn while it plays, and its manifests must not tell of it: no discontinuity, no gap,
// one Period. Ends with "N passed, N failed"; exit status 1 where something failed.
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const ALL_RUNS = [
  ["hls", "demo-cmaf"], ["shaka", "demo-cmaf"],
  ["hls", "demo-hls"], ["shaka", "demo-hls"],
  ["dash", "demo-dash"], ["shaka", "demo-dash"],
];
const FAILOVER_RUNS = [["hls", "demo-cmaf"], ["shaka", "demo-hls"], ["dash", "demo-dash"]];
// From the start of the demo (a build included) until its endpoints play.
const PLAYS_SECONDS_MAX = 900;

// Resolves to a map of endpoint → URL, and the control plane's URL, when the demo has said of every
// endpoint that it plays.
function endpointsOf(demo, runs) {
  const wanted = new Set(runs.map(([, endpoint]) => endpoint));
  const urls = new Map();
  let control;
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
      control = /^watch page +(http:\S+)$/.exec(line)?.[1] ?? control;
      if (urls.size === wanted.size) {
        clearTimeout(timer);
        resolve({ urls, control });
      }
    });
  });
}

// Kills the ffmpeg that pushes to one input; the demo starts it again.
async function killTwin(demo, input) {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid=,ppid=,args="]);
  const processes = stdout.trim().split("\n").map((line) => {
    const [, pid, parent, args] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line);
    return { pid: Number(pid), parent: Number(parent), args };
  });
  const family = new Set([demo.pid]);
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  const twins = processes.filter(({ pid, args }) =>
    family.has(pid) && /^ffmpeg /.test(args) && args.includes(`-i unix:`) && args.includes(`twin-${input}.socket`));
  if (twins.length !== 1) throw new Error(`${twins.length} encoders push to input ${input}`);
  process.kill(twins[0].pid, "SIGKILL");
  console.log(`killed the encoder of input ${input}`);
}

const text = async (url) => (await fetch(url)).text();

// Whatever a manifest, and the playlists that it names, tell of a break: those listed now, and
// those that have left the window.
async function breaksOf(url) {
  const manifest = await text(url);
  if (url.endsWith(".mpd")) {
    const periods = manifest.split("<Period").length - 1;
    return periods === 1 ? [] : [`${periods} Periods`];
  }
  const named = [...manifest.matchAll(/^(?!#).*\.m3u8$|URI="([^"]*\.m3u8)"/gm)]
    .map(([line, quoted]) => quoted ?? line);
  if (named.length === 0) return ["a multivariant playlist that names none"];
  const playlists = await Promise.all(named.map((name) => text(new URL(name, url))));
  return [/^#EXT-X-DISCONTINUITY$/m, /^#EXT-X-GAP$/m, /^#EXT-X-DISCONTINUITY-SEQUENCE:[1-9].*$/m]
    .flatMap((tag) => playlists.map((playlist) => tag.exec(playlist)?.[0]))
    .filter((tag) => tag !== undefined)
    .map((tag) => `a playlist has ${tag}`);
}

// What the origin has counted of breaks since it began, whoever looked.
async function countedBreaks(control) {
  const samples = (await text(new URL("/metrics", control))).split("\n")
    .filter((line) => /^headwater_(discontinuities|gaps)_total\b/.test(line));
  if (samples.length === 0) return ["the origin counts no breaks"];
  return samples.filter((line) => Number(line.split(" ").at(-1)) > 0);
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
  options: { seconds: { type: "string", default: "15" }, "kill-every": { type: "string" } },
  allowPositionals: true,
});
const killEvery = values["kill-every"] && Number(values["kill-every"]);
const runs = killEvery ? FAILOVER_RUNS : ALL_RUNS;
const demo = spawn(here("../../scripts/demo"), positionals, { stdio: ["ignore", "pipe", "inherit"] });
let passed = 0;
let failed = 0;
try {
  const { urls, control } = await endpointsOf(demo, runs);
  let next = 1;
  let killing = Promise.resolve();
  for (const [player, endpoint] of runs) {
    const url = urls.get(endpoint);
    const timer = killEvery && setInterval(() => {
      killing = killing.then(() => killTwin(demo, next)).then(() => { next = 3 - next; });
      killing.catch(() => {});
    }, killEvery * 1000);
    const run = await playOne(player, url, Number(values.seconds));
    clearInterval(timer);
    await killing;
    if (killEvery) run.faults.push(...await breaksOf(url), ...await countedBreaks(control));
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
