// What a newcomer does: nothing is installed but the extension. Writes what was seen as JSON.
// usage: node vscode_newcomer.mjs CONFIG.json
import { readFileSync, writeFileSync } from "node:fs";
import { Editor } from "./vscode_page.mjs";

const INSTALL_MS = 540_000;
const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const seen = {};
const editor = await Editor.open(config);
try {
  await editor.untilStatus(/^error/);
  await editor.page.locator(".notification-toast", { hasText: "is not installed" }).getByRole("button", { name: "Install…" }).click();
  const began = Date.now();
  const dialog = editor.page.locator(".monaco-dialog-box");
  await dialog.waitFor();
  seen.question = await dialog.innerText();
  await dialog.getByRole("button", { name: "Install" }).click();
  await editor.untilStatus(/^loading/, INSTALL_MS);
  seen.installSeconds = (Date.now() - began) / 1000;
  await editor.untilStatus(/^zap/, 300_000);
  seen.readySeconds = (Date.now() - began) / 1000;
  await editor.openFile(config.fileName);
  await editor.keyboard.press("Control+End");
  await editor.keyboard.type("json.");
  seen.ghost = await editor.untilGhost((text) => text.includes("("));
} catch (error) {
  seen.error = String(error.stack ?? error);
  await editor.page.screenshot({ path: `${config.pictures}/failed.png` }).catch(() => {});
} finally {
  seen.statuses = await editor.seen("statuses").catch(() => []);
  writeFileSync(config.result, JSON.stringify(seen, null, 2));
  await editor.close();
}
