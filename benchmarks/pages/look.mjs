// Opens a page from disk in Chromium, light and dark, at three widths, on one picture too, and asks axe what is wrong with it.
//
//   npm install --no-save playwright-core axe-core
//   node benchmarks/pages/look.mjs RUN/report.html [FOLDER]      with FOLDER: screenshots go there
//
// CHROMIUM names the browser (default /usr/bin/chromium). Exit code 1 where axe finds something serious, the page is wider
// than the window, or its script fails.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(resolve("package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [page_path, folder] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
let isWell = true;

async function ask(page, where, within) {
  const found = await page.evaluate((part) => axe.run(part ?? document), within);
  for (const one of found.violations) {
    console.log(`${where}: ${one.impact}: ${one.id}: ${one.nodes[0].html.slice(0, 160)}`);
    if (["serious", "critical"].includes(one.impact)) isWell = false;
  }
  return found.violations.length;
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [390, 1024, 1440]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 1400 }, bypassCSP: true });
    const page = await context.newPage();
    const where = `${colorScheme} ${width}`;
    page.on("pageerror", (error) => { console.log(`${where}: ${error}`); isWell = false; });
    const start = Date.now();
    await page.goto(pathToFileURL(resolve(page_path)).href);
    const opened = Date.now() - start;
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (beyond > 0) isWell = false;
    await page.evaluate(axe);
    let count = await ask(page, where);
    if (folder) await page.screenshot({ path: `${folder}/${basename(page_path, ".html")}-${colorScheme}-${width}.png` });
    const card = page.locator(".open-case").first();
    if (await card.count()) {
      await card.click();
      count += await ask(page, `${where}, one picture`, "dialog");
    }
    console.log(`${where}: opened in ${opened} ms, ${beyond} px too wide, ${count} found by axe`);
    await context.close();
  }
}
await browser.close();
process.exit(isWell ? 0 : 1);
