// Plays a short channel with two languages of sound and subtitles in every player, and looks for
// the subtitles on the screen.
//
//   node text.mjs HEADWATER [PLAYER]
//
// HEADWATER is the binary; PLAYER, one of hls, shaka and dash, the only one to try. All of the
// channel is pushed at once and is in the future of its clock: it is played as it becomes due.
// Needs ffmpeg and curl. Ends with "N passed, N failed"; exit status 1 where
// something failed.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SEGMENT_SECONDS = 2;
const SEGMENT_COUNT = 10;
const FIRST_SECONDS = 100;
// Less than players of HLS begin behind the end of what is listed, which stays as it is.
const PLAYED_SECONDS = 4;
const WORDS = "Guten Tag";

const RUNS = [
  ["hls", "cmaf/hls/index.m3u8"], ["shaka", "cmaf/hls/index.m3u8"], ["hls", "ts/index.m3u8"],
  ["dash", "wvtt/index.mpd"], ["shaka", "wvtt/index.mpd"],
  ["dash", "imsc/index.mpd"], ["shaka", "imsc/index.mpd"],
  ["dash", "ebu/index.mpd"], ["shaka", "ebu/index.mpd"],
  ["dash", "smooth/index.ism/Manifest"],
];

const endpoint = (id, table, ...rest) =>
  `[[endpoint]]\nid = "${id}"\nchannel = "c"\nstale_limit_seconds = 3600\n` +
  `startover_window_seconds = 300\n[endpoint.${table}]\n${rest.join("\n")}\n`;

function settings(dir, http, control) {
  return `[server]\nhttp = "127.0.0.1:${http}"\nshards = 1\n[control]\n` +
    `listen = "127.0.0.1:${control}"\n[storage]\ndir = "${dir}/data"\ncache = "128MiB"\n` +
    `[[channel]]\nid = "c"\nring = "128MiB"\nsegment_size_max = "8MiB"\n` +
    [1, 2].map((n) => `[[channel.input]]\nusername = "u${n}"\npassword = "p"\n`).join("") +
    endpoint("ts", "hls_package", "segment_duration_seconds = 2") +
    endpoint("cmaf", "cmaf_package", "[[endpoint.cmaf_package.hls_manifests]]", 'id = "hls"') +
    endpoint("wvtt", "dash_package", 'subtitle_format = "wvtt"') +
    endpoint("imsc", "dash_package", 'subtitle_format = "stpp"') +
    endpoint("ebu", "dash_package", 'subtitle_format = "stpp"', 'ttml_profile = "EBU_TT_D_101"') +
    endpoint("smooth", "mss_package");
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

const multivariant = [
  "#EXTM3U",
  ...["de", "en"].map((language, at) =>
    `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="${language}",LANGUAGE="${language}",` +
    `DEFAULT=${at === 0 ? "YES" : "NO"},AUTOSELECT=YES,URI="sound${at}.m3u8"`),
  '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,' +
    'AUTOSELECT=YES,URI="words.m3u8"',
  '#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="a",SUBTITLES="s"', "picture.m3u8", "",
].join("\n");

const playlist = (name, ending) => [
  "#EXTM3U", "#EXT-X-VERSION:3", `#EXT-X-TARGETDURATION:${SEGMENT_SECONDS}`,
  "#EXT-X-MEDIA-SEQUENCE:0",
  ...Array.from({ length: SEGMENT_COUNT }, (_, at) =>
    `#EXTINF:${SEGMENT_SECONDS}.000,\n${name}${at}.${ending}`),
  "",
].join("\n");

// One cue for each segment, from a little after its begin into the next one.
const words = (at) => {
  const clock = (FIRST_SECONDS + SEGMENT_SECONDS * at) * 90_000;
  return `WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:${clock},LOCAL:00:00:00.000\n\n` +
    `00:00.200 --> 00:02.100 line:80% align:center\n<i>${WORDS}</i> ${at} &amp; mehr\n`;
};

// The files to push, in their order.
async function source(dir) {
  const encode = (input, output, name) => run("ffmpeg", ["-nostdin", "-v", "error",
    "-f", "lavfi", "-i", input, "-t", String(SEGMENT_SECONDS * SEGMENT_COUNT), ...output,
    "-output_ts_offset", String(FIRST_SECONDS), "-muxdelay", "0", "-f", "hls",
    "-hls_time", String(SEGMENT_SECONDS), "-hls_list_size", "0",
    "-hls_segment_filename", `${name}%d.ts`, `${name}.m3u8`], { cwd: dir });
  await encode("testsrc2=size=320x180:rate=25", ["-c:v", "libx264", "-preset", "ultrafast",
    "-g", "50", "-sc_threshold", "0", "-bf", "0", "-pix_fmt", "yuv420p"], "picture");
  for (const at of [0, 1]) {
    const sine = `sine=frequency=${440 * (at + 1)}:sample_rate=48000`;
    await encode(sine, ["-c:a", "aac", "-b:a", "96k", "-ac", "2"], `sound${at}_`);
  }
  const files = [["channel.m3u8", multivariant]];
  const names = [["picture", "ts", "picture"], ["sound0_", "ts", "sound0"],
    ["sound1_", "ts", "sound1"], ["words", "vtt", "words"]];
  const lists = names.map(([name, ending, list]) => [`${list}.m3u8`, playlist(name, ending)]);
  files.push(...lists);
  for (let at = 0; at < SEGMENT_COUNT; at += 1) {
    for (const [name, ending] of names) {
      const file = `${name}${at}.${ending}`;
      files.push([file, ending === "vtt" ? words(at) : await readFile(join(dir, file))]);
    }
  }
  return files;
}

async function push(dir, base, files) {
  for (const [name, body] of files) {
    const path = join(dir, "body");
    await writeFile(path, body);
    await run("curl", ["-sf", "--digest", "-u", "u1:p", "-T", path, `${base}/in/v2/c/1/${name}`]);
  }
}

async function played(player, url) {
  const found = await run(process.execPath, [here("play.mjs"), "--player", player, "--url", url,
    "--seconds", String(PLAYED_SECONDS), "--cues", WORDS, "--languages", "de,en"])
    .catch((error) => error);
  return found.stdout?.trim() ? JSON.parse(found.stdout) : { faults: [String(found)] };
}

const [binary, only] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node text.mjs HEADWATER [PLAYER]");
  process.exit(2);
}
const curl = (...args) => run("curl", ["-sf", ...args]);
const patiently = ["--retry", "50", "--retry-delay", "1", "--retry-all-errors"];

// What a player shows of an endpoint of a fresh origin, which is pushed to at once.
async function tried(dir, files, player, path) {
  const [http, control] = [await freePort(), await freePort()];
  await writeFile(join(dir, "headwater.toml"), settings(dir, http, control));
  const server = spawn(binary, ["serve", "--config", join(dir, "headwater.toml")],
    { stdio: "ignore" });
  try {
    await curl(...patiently, `http://127.0.0.1:${control}/readyz`);
    const base = `http://127.0.0.1:${http}`;
    await push(dir, base, files);
    const url = `${base}/out/v1/${path}`;
    await curl(...patiently, "-o", join(dir, "manifest"), url);
    return await played(player, url);
  } finally {
    server.kill("SIGTERM");
    if (server.exitCode === null) await once(server, "close");
    await rm(join(dir, "data"), { recursive: true, force: true });
  }
}

const dir = await mkdtemp(join(tmpdir(), "headwater-text."));
let [passed, failed] = [0, 0];
try {
  const files = await source(dir);
  for (const [player, path] of RUNS.filter(([player]) => !only || player === only)) {
    const { faults, cues } = await tried(dir, files, player, path);
    if (faults.length === 0) passed += 1; else failed += 1;
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"} ${player} on ${path}: ` +
      (faults.length === 0 ? JSON.stringify(cues) : faults.join("; ")));
  }
} catch (error) {
  console.log(`FAILED: ${error.message}`);
  failed += 1;
} finally {
  await rm(dir, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
