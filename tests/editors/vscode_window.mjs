// A VS Code window under remote control: one JSON array [name, ...arguments] per line of stdin, one JSON value per line
// of stdout for each. usage: node vscode_window.mjs CONFIG.json
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Editor } from "./vscode_page.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const editor = await Editor.open(config);

const commands = {
  async start() {
    await editor.untilStatus(/^zap/, config.startMs);
    await editor.openFile(config.fileName);
    await editor.keyboard.press("Control+End");
  },
  type: (text) => editor.keyboard.type(text),
  press: (key) => editor.keyboard.press(key),
  ghost: () => editor.ghost(),
  status: () => editor.status(),
  async picture(path) {
    await editor.page.screenshot({ path });
  },
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...args] = JSON.parse(line);
    try {
      say({ value: (await commands[name](...args)) ?? null });
    } catch (error) {
      say({ error: String(error.stack ?? error) });
    }
  }
} finally {
  await editor.close();
}
