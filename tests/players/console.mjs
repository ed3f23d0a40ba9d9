// Opens the console in headless Chromium and tells what its picture of a channel shows.
//
//   node console.mjs --url URL --channel ID [--screenshot FILE.png]
//
// Prints one JSON object, a list of cells for each row, once the picture is there; exit status 1
// where it does not come or the page has errors.
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const PATIENCE_MS = 30_000;

const { values } = parseArgs({
  options: {
    url: { type: "string" }, channel: { type: "string" }, screenshot: { type: "string" },
  },
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const errors = [];
try {
  const page = await browser.newPage({ viewport: { width: 1240, height: 900 } });
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(values.url);
  const card = page.locator(`.channel[data-channel="${values.channel}"]`);
  await card.locator('[data-row="output"] [data-marks]').first().waitFor({ timeout: PATIENCE_MS });
  const rows = await card.evaluate((element) => {
    const told = {};
    for (const row of element.querySelectorAll("[data-row]")) {
      told[row.dataset.row] = [...row.querySelectorAll("[data-marks]")].map((cell) => ({
        marks: cell.dataset.marks,
        title: cell.querySelector("title").textContent,
        sign: cell.querySelector("text")?.textContent ?? "",
      }));
    }
    return told;
  });
  if (values.screenshot) await page.screenshot({ path: values.screenshot });
  console.log(JSON.stringify(rows));
} catch (error) {
  errors.push(error.message);
} finally {
  await browser.close();
}
for (const error of errors) console.error(error);
process.exit(errors.length === 0 ? 0 : 1);
