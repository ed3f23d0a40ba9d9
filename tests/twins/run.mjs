// The demo's twins: either may be killed, and comes back cutting at the same pictures.
//
//   node tests/twins/run.mjs
//
// Runs scripts/picture and two scripts/twin against a sink for PUT, kills the second twin, starts
// it again, and compares what both pushed, packet by packet as ffprobe tells them: segments that
// begin with the same picture hold the same pictures with the same timestamps and bytes, and the
// twin that came back begins every segment where its sibling does. Ends with "N passed, N failed".
import { createServer } from "node:http";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, rename, rm, watch } from "node:fs/promises";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const script = (name) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const SEGMENTS_WANTED = 4;
const WAIT_SECONDS_MAX = 60;

// Stores every body as DIR/{input}-{file} and counts complete segments; knows no passwords.
async function sink(dir) {
  const server = createServer(async (request, response) => {
    const [, input, file] = /^\/in\/v2\/demo\/([12])\/(\w+\.\w+)$/.exec(request.url) ?? [];
    if (request.method !== "PUT" || !file) {
      request.resume();
      response.writeHead(400).end();
      return;
    }
    // A killed twin leaves its last body cut: such a file is not renamed, and so never seen.
    const path = join(dir, `${input}-${file}`);
    try {
      await pipeline(request, createWriteStream(`${path}.part`));
      await rename(`${path}.part`, path);
      response.writeHead(201).end();
    } catch {
      response.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const segments = async (dir, input) => (await readdir(dir))
  .filter((name) => new RegExp(`^${input}-channel_0_\\d+\\.ts$`).test(name)).sort();

// Waits until `input` has `count` segments that are not among `known`.
async function fresh(dir, input, count, known = []) {
  const limit = AbortSignal.timeout(WAIT_SECONDS_MAX * 1000);
  const events = watch(dir, { signal: limit });
  const enough = async () => {
    const names = (await segments(dir, input)).filter((name) => !known.includes(name));
    return names.length >= count ? names : null;
  };
  for (let names = await enough(); ; names = await enough()) {
    if (names) return names;
    await events.next();
  }
}

// The pictures of a segment: "pts dts size hash" each.
async function pictures(path) {
  const { stdout } = await promisify(execFile)("ffprobe", [
    "-v", "error", "-select_streams", "v:0", "-show_packets", "-show_data_hash", "md5",
    "-show_entries", "packet=pts,dts,size,data_hash", "-of", "csv=p=0", path,
  ]);
  return stdout.trim().split("\n");
}

const dir = await mkdtemp(join(tmpdir(), "headwater-twins."));
const server = await sink(dir);
const children = [];
const start = (name, ...args) => {
  const child = spawn(script(name), args, { stdio: ["ignore", "ignore", "ignore"] });
  children.push(child);
  return child;
};
const socket = (input) => join(dir, `${input}.socket`);
const twin = (input) => start("twin", socket(input),
  `http://encoder${input}:x@127.0.0.1:${server.address().port}/in/v2/demo/${input}/channel`);

const checks = [];
const check = (what, good) => {
  checks.push(good);
  console.log(`${good ? "ok    " : "FAILED"} ${what}`);
};
try {
  twin(1);
  const second = twin(2);
  start("picture", socket(1), socket(2));
  const before = await fresh(dir, 2, SEGMENTS_WANTED);
  second.kill("SIGKILL");
  await once(second, "exit");
  const known = await segments(dir, 2);
  await fresh(dir, 1, 1, await segments(dir, 1));
  twin(2);
  const after = await fresh(dir, 2, SEGMENTS_WANTED, known);
  await fresh(dir, 1, 1, await segments(dir, 1));

  const firsts = new Map();
  for (const name of await segments(dir, 1)) {
    const all = await pictures(join(dir, name));
    firsts.set(all[0], all);
  }
  const same = async (names) => {
    let count = 0;
    for (const name of names) {
      const all = await pictures(join(dir, name));
      if (JSON.stringify(firsts.get(all[0])) === JSON.stringify(all)) count += 1;
    }
    return count;
  };
  check("both twins cut at the same pictures", await same(before) === before.length);
  check("a twin that was killed comes back on the same cuts", await same(after) === after.length);
} catch (error) {
  check(`${error.name === "AbortError" ? `no segment for ${WAIT_SECONDS_MAX} s` : error.stack}`, false);
} finally {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true, force: true });
}
const failed = checks.filter((good) => !good).length;
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
