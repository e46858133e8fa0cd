// One VS Code window in a headless Chromium, as a user sees it: keys in, ghost text and status bar out.
// Everything waits for conditions; nothing sleeps for a fixed time.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const STATUS_ITEM = '.statusbar-item[id^="completion-server."]';
const BROWSER_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"];

/** Runs inside of the page: notes keys, ghost texts and what the status bar item says, with the wall clock in ms. */
function watch(statusItem) {
  const now = () => performance.timeOrigin + performance.now();
  const seen = { keys: [], ghosts: [], statuses: [] };
  window.completionTest = seen;
  const noteGhost = () => {
    const parts = document.querySelectorAll(".editor-instance .ghost-text, .editor-instance .ghost-text-decoration");
    const text = [...parts].map((part) => part.textContent).join("").replaceAll("\u00a0", " ");
    if (text !== (seen.ghosts.at(-1)?.text ?? "")) {
      seen.ghosts.push({ at: now(), text });
    }
  };
  const noteStatus = () => {
    const item = document.querySelector(statusItem);
    const icon = /codicon-([\w-]+)/.exec(item?.querySelector(".codicon")?.className ?? "")?.[1];
    const text = `${icon ?? ""} ${item?.textContent ?? ""}`.trim().replace(/\s+/g, " ");
    if (item && text !== (seen.statuses.at(-1)?.text ?? "")) {
      seen.statuses.push({ at: now(), text });
    }
  };
  window.addEventListener("keydown", (event) => seen.keys.push({ at: now(), key: event.key }), true);
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => (noteGhost(), noteStatus())).observe(document.body, {
      subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["class", "aria-label"],
    });
  });
}

export async function until(what, condition, timeoutMs = 30_000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25)); // between two looks
  }
}

export class Editor {
  static async open({ modules, chromium, url, viewport }) {
    const { chromium: playwright } = createRequire(join(modules, "package.json"))("playwright-core");
    const browser = await playwright.launch({ executablePath: chromium, headless: true, args: BROWSER_ARGUMENTS });
    const page = await browser.newPage({ viewport });
    await page.addInitScript(watch, STATUS_ITEM);
    await page.goto(url, { waitUntil: "domcontentloaded" });
    await page.waitForSelector(".monaco-workbench", { timeout: 90_000 });
    return new Editor(browser, page);
  }

  constructor(browser, page) {
    this.browser = browser;
    this.page = page;
    this.keyboard = page.keyboard;
  }

  async openFile(name) {
    const row = this.page.locator(".explorer-folders-view .monaco-list-row", { hasText: name });
    await row.waitFor({ timeout: 60_000 });
    await row.dblclick();
    await this.page.waitForSelector(".editor-instance .view-line", { timeout: 60_000 });
    await this.page.locator(".editor-instance .view-lines").click();
  }

  seen(what) {
    return this.page.evaluate((name) => window.completionTest[name], what);
  }

  async status() {
    return (await this.seen("statuses")).at(-1)?.text ?? "";
  }

  untilStatus(pattern, timeoutMs = 60_000) {
    return until(`status ${pattern}`, async () => pattern.test(await this.status()), timeoutMs);
  }

  async ghost() {
    return (await this.seen("ghosts")).at(-1)?.text ?? "";
  }

  untilGhost(condition = (text) => text !== "", timeoutMs = 30_000) {
    return until("ghost text", async () => {
      const text = await this.ghost();
      return condition(text) && text;
    }, timeoutMs);
  }

  /** Saves until `condition` holds for what is in the file; returns that. */
  saved(path, condition) {
    return until(`saved file: ${condition}`, async () => {
      await this.keyboard.press("Control+s");
      const text = readFileSync(path, "utf8");
      return condition(text) && text;
    });
  }

  /** Chooses an entry of the menu behind the status bar item. */
  async menu(label) {
    await this.page.locator(STATUS_ITEM).click();
    await this.choose(label);
  }

  /** In the list of models, which shows a few of its entries only: narrowed down first. */
  async chooseModel(label) {
    await this.page.locator('.quick-input-box input[placeholder^="The model that"]').waitFor();
    await this.keyboard.type(label);
    await this.choose(label);
  }

  /** Types into the input box that asks for `prompt`. */
  async answer(prompt, text) {
    await this.page.locator(".quick-input-message", { hasText: prompt }).waitFor();
    await this.keyboard.type(text);
    await this.keyboard.press("Enter");
  }

  choose(label) {
    return this.page.locator(".quick-input-list .monaco-list-row", { hasText: label }).first().click();
  }

  async hover() {
    await this.page.locator(STATUS_ITEM).hover();
    const hover = this.page.locator(".workbench-hover").first();
    await hover.waitFor();
    const text = await hover.innerText();
    await this.page.mouse.move(300, 200);
    return text;
  }

  async notification(pattern) {
    const toast = this.page.locator(".notification-toast", { hasText: pattern }).first();
    await toast.waitFor();
    return toast.innerText();
  }

  async closeModal() {
    await this.page.locator(".monaco-modal-editor-block .codicon-close").last().click();
    await this.page.locator(".monaco-modal-editor-block").waitFor({ state: "hidden" });
  }

  focus() {
    return this.page.locator(".editor-instance .view-lines").click();
  }

  close() {
    return this.browser.close();
  }
}

/** What the recording server wrote down so far. */
export function recorded(path) {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}
