// What a user does in VS Code, start to end; writes what was seen as JSON. Judged by test_vscode.py.
// usage: node vscode_scenario.mjs CONFIG.json
import { readFileSync, writeFileSync } from "node:fs";
import { Editor, recorded, until } from "./vscode_page.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const seen = {};
const inform = (what) => console.error(`vscode: ${what}`);
const answers = () => recorded(config.log).filter((entry) => entry.reply_to === "textDocument/inlineCompletion");

const editor = await Editor.open(config);
try {
  await run();
} catch (error) {
  seen.error = String(error.stack ?? error);
  seen.hoverAtFailure = await editor.hover().catch(() => "");
  seen.ghosts = await editor.seen("ghosts").catch(() => []);
  await editor.page.screenshot({ path: `${config.pictures}/failed.png` }).catch(() => {});
} finally {
  seen.statuses ??= await editor.seen("statuses").catch(() => []);
  writeFileSync(config.result, JSON.stringify(seen, null, 2));
  await editor.close();
}

async function run() {
  inform("an untrusted workspace");
  await editor.untilStatus(/^zap/);
  seen.statusesBeforeTrust = await editor.seen("statuses");
  seen.recordedBeforeTrust = { workspace: recorded(config.workspaceLog), path: recorded(config.pathLog) };

  inform("trust is granted");
  await editor.page.locator(".statusbar-item", { hasText: "Restricted Mode" }).click();
  await editor.page.getByRole("button", { name: /^Trust$/ }).first().click();
  await until("the workspace's own server", () => recorded(config.workspaceLog).some((entry) => entry.method === "initialized"));
  await editor.closeModal();
  await editor.untilStatus(/^zap/);
  seen.recordedAfterTrust = recorded(config.workspaceLog);
  await editor.openFile(config.fileName);

  inform("ghost text");
  await editor.keyboard.press("Control+End");
  await editor.keyboard.type("json.");
  seen.ghost = await editor.untilGhost((text) => text.includes("("));
  await editor.page.screenshot({ path: `${config.pictures}/ghost-text.png`, clip: config.clip });
  seen.hover = await editor.hover();

  inform("Tab");
  await editor.keyboard.press("Tab");
  seen.afterTab = await editor.saved(config.file, (text) => text.endsWith(`json.${seen.ghost}`));

  inform("a word, then a line");
  for (const _ of `.${seen.ghost}`) await editor.keyboard.press("Backspace");
  await editor.keyboard.type(".");
  seen.partial = await editor.untilGhost((text) => text.includes("("));
  await editor.keyboard.press("Control+ArrowRight");
  seen.restAfterWord = await editor.untilGhost((text) => text !== seen.partial && seen.partial.endsWith(text) && text !== "");
  seen.afterWord = await editor.saved(config.file, (text) => text.endsWith(seen.partial.slice(0, -seen.restAfterWord.length)));
  await editor.keyboard.press("Control+Alt+ArrowRight");
  seen.afterLine = await editor.saved(config.file, (text) => text.endsWith(`json.${seen.partial.split("\n")[0]}`));

  inform("pause");
  await editor.menu("Pause");
  await editor.untilStatus(/^debug-pause/);
  const before = answers().length;
  await editor.focus();
  await editor.keyboard.press("Control+End");
  for (const _ of `.${seen.partial.split("\n")[0]}`) await editor.keyboard.press("Backspace");
  await editor.keyboard.type(".");
  await until("an answer while paused", () => answers().length > before);
  seen.answersWhilePaused = answers().slice(before);
  seen.ghostWhilePaused = await editor.ghost();
  await editor.menu("Why nothing?");
  seen.whyNothing = await editor.notification("No suggestions");
  await editor.menu("Resume");
  await editor.untilStatus(/^zap/);
  await editor.focus();
  await editor.keyboard.press("Control+End");
  await editor.keyboard.type("d");
  seen.ghostAfterResume = await editor.untilGhost();
  await editor.keyboard.press("Escape");

  inform("pause for the file type");
  await editor.menu("Pause for python");
  await editor.untilStatus(/^circle-slash/);
  seen.userSettings = JSON.parse(readFileSync(config.userSettings, "utf8"));
  await editor.menu("Resume for python");
  await editor.untilStatus(/^zap/);
  seen.statuses = await editor.seen("statuses");

  inform("a restart");
  await editor.menu("Restart the server");
  await editor.untilStatus(/^loading/);
  await editor.untilStatus(/^zap/);

  inform("a server that dies");
  const starts = () => recorded(config.log).filter((entry) => entry.method === "initialize");
  const numStarts = starts().length;
  process.kill(starts().at(-1).recorder, "SIGKILL");
  await until("another start", () => starts().length > numStarts);
  await editor.untilStatus(/^zap/);
  seen.statusesAtTheEnd = await editor.seen("statuses");

  inform("a model that is not there, and back");
  await editor.menu("Choose a model…");
  await editor.chooseModel("Another name or Hub id");
  await editor.answer("Hub id", "/nowhere/model.gguf");
  await editor.untilStatus(/^error/);
  seen.hoverOfError = await editor.hover();
  await editor.menu("Choose a model…");
  await editor.chooseModel("smollm2-135m");
  await editor.untilStatus(/^zap/);
}
