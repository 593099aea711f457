// node check.mjs FILE.html [SCREENSHOT_DIR]
// Opens a page from disk in headless Chromium (the program that CHROMIUM names, else /usr/bin/chromium) and checks that it
// says nothing on the console, asks nobody for anything, fits a phone, unfolds by keyboard, is readable to all (axe-core),
// needs no scripts, and prints whole. A line for each check; exit status 1 if one fails.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file, screenshots] = process.argv.slice(2);
if (!file) {
  console.error("usage: node check.mjs FILE.html [SCREENSHOT_DIR]");
  process.exit(2);
}
const address = pathToFileURL(path.resolve(file)).href;
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = 360;
const DESK = 1200;
const SCHEMES = ["light", "dark"];
const MOST_STOPS = 5000;

let failed = false;
function told(what, wrong) {
  failed ||= wrong.length > 0;
  console.log(`${wrong.length === 0 ? "ok" : "FAILED"}: ${what}`);
  for (const words of wrong) console.log(`  ${words}`);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: [
    // Chromium's own sandbox refuses root.
    ...(os.userInfo().uid === 0 ? ["--no-sandbox"] : []),
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

const said = [];
const asked = [];

/** The page, opened anew in a window of its own. */
async function opened({ width = PHONE, colorScheme = "light", javaScriptEnabled = true } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme,
    javaScriptEnabled,
    // What is printed or unfolded slowly would be looked at too early.
    reducedMotion: "reduce",
    // axe-core is put into the page from here, whatever the page itself forbids.
    bypassCSP: true,
  });
  // Whether all that a details element holds besides its summary is to be seen.
  await context.addInitScript(() => {
    window.isUnfolded = (details) => {
      const contents = [...details.children].filter((child) => child.localName !== "summary");
      const all = { contentVisibilityAuto: true, opacityProperty: true, visibilityProperty: true };
      return contents.length > 0 && contents.every((child) => child.checkVisibility(all));
    };
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) said.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => said.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (url.split("#")[0] !== address && !url.startsWith("data:")) asked.push(url.slice(0, 200));
  });
  await page.goto(address, { waitUntil: "load" });
  return page;
}

const title = async (part) => (await part.textContent()).trim().slice(0, 60);

async function screenshot(page, name) {
  if (!screenshots) return;
  fs.mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
}

try {
  for (const colorScheme of SCHEMES) {
    for (const width of [PHONE, DESK]) {
      const page = await opened({ width, colorScheme });
      const name = `${colorScheme}, ${width} px`;
      const scrolls = () =>
        page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.scrollingElement;
          if (scrollWidth <= clientWidth) return [];
          const wide = [...document.body.querySelectorAll("*")].filter(
            (one) => one.getBoundingClientRect().right > clientWidth + 0.5,
          );
          const names = wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 80));
          return [`${scrollWidth} px of contents in ${clientWidth} px: ${names.join(", ")}`];
        });
      told(`${name}: no horizontal scroll`, await scrolls());
      await screenshot(page, `${colorScheme}-${width}`);
      // Folded contents are contents, too.
      await page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      told(`${name}, all unfolded: no horizontal scroll`, await scrolls());
      await screenshot(page, `${colorScheme}-${width}-unfolded`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      told(
        `${name}: axe-core finds nothing serious`,
        grave.map(({ id, impact, help, nodes }) => `${impact}: ${id}: ${help}: ${nodes.length} × ${nodes[0].html.slice(0, 120)}`),
      );
      await page.context().close();
    }
  }

  {
    const page = await opened();
    const parts = page.locator("details");
    const number = await parts.count();
    const claims = await page.locator("details.claim").count();
    const wrong = [];
    // Tab goes through all that can be reached, and leaves the page after the last. Each part is unfolded on the way.
    const reached = new Set();
    for (let stop = 0; stop < MOST_STOPS; stop++) {
      await page.keyboard.press("Tab");
      const [left, index] = await page.evaluate(() => {
        const focused = document.activeElement;
        const all = [...document.querySelectorAll("details")];
        return [focused === document.body, focused?.localName === "summary" ? all.indexOf(focused.parentElement) : -1];
      });
      if (left) break;
      if (index < 0 || reached.has(index)) continue;
      reached.add(index);
      const part = parts.nth(index);
      const look = () => part.evaluate((details) => [details.open, isUnfolded(details)]);
      const [openBefore] = await look();
      await page.keyboard.press("Enter");
      const [open, shown] = await look();
      if (open === openBefore) wrong.push(`${await title(part)}: Enter does not unfold it`);
      else if (open && !shown) wrong.push(`${await title(part)}: nothing is shown when it is unfolded`);
      // What was folded stays unfolded: there may be more to unfold in it.
      else if (!open) await page.keyboard.press("Enter");
    }
    for (let index = 0; index < number; index++) {
      if (!reached.has(index)) wrong.push(`${await title(parts.nth(index))}: Tab does not lead to it`);
    }
    told(`${number} folded parts, ${claims} of them claims, unfold by keyboard`, wrong);
    await page.context().close();
  }

  {
    const page = await opened({ javaScriptEnabled: false });
    // Playwright's own look works without the page's scripts. Whoever has none can still unfold.
    const shown = await page.locator("h1").first().isVisible();
    const words = (await page.locator("body").innerText()).trim();
    const wrong = [];
    if (!shown) wrong.push("there is no heading (h1) to be seen");
    const withScripts = await opened();
    const all = (await withScripts.locator("body").innerText()).trim();
    // What a script adds may be some words on how to use it, not what was found.
    if (words.length < 0.9 * all.length) wrong.push(`${words.length} of ${all.length} letters are there without scripts`);
    told("without scripts: the contents are there", wrong);
    await page.context().close();
    await withScripts.context().close();
  }

  {
    const page = await opened({ width: DESK });
    await page.emulateMedia({ media: "print" });
    // The other style sheet takes a moment.
    const all = () => [...document.querySelectorAll("details")].every(isUnfolded);
    await page.waitForFunction(all, null, { timeout: 3000 }).catch(() => {});
    const hidden = await page.evaluate(() => {
      const folded = [...document.querySelectorAll("details")].filter((details) => !isUnfolded(details));
      return folded.map((details) => details.textContent.trim().slice(0, 60));
    });
    const wrong = hidden.slice(0, 3).map((name) => `${name}: what is folded is not printed`);
    told("in print: folded contents are shown", wrong);
    await screenshot(page, "print");
    await page.context().close();
  }

  told("nothing is asked of anybody", [...new Set(asked)]);
  told("no error or warning on the console", [...new Set(said)]);
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
