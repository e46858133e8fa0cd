// Types a text key by key, each when the last one has been answered; writes when keys and ghost texts were seen.
// usage: node vscode_latency.mjs CONFIG.json
import { readFileSync, writeFileSync } from "node:fs";
import { Editor, recorded, until } from "./vscode_page.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const numAnswers = () => recorded(config.log).filter((entry) => entry.reply_to === "textDocument/inlineCompletion").length;

const editor = await Editor.open(config);
await editor.untilStatus(/^zap/);
await editor.openFile(config.fileName);
await editor.keyboard.press("Control+End");
const start = Date.now();
for (const char of config.text) {
  const before = numAnswers();
  await (char === "\n" ? editor.keyboard.press("Enter") : editor.keyboard.type(char));
  await until("an answer", () => numAnswers() > before, 3000).catch(() => {}); // VS Code need not ask
  await until("two frames", () => editor.page.evaluate(() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(true))))));
}
const keys = (await editor.seen("keys")).filter(({ at }) => at >= start);
writeFileSync(config.result, JSON.stringify({ keys, ghosts: await editor.seen("ghosts") }));
await editor.close();
