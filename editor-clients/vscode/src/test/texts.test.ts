// The small pure parts: model list, install plan, log lines, paused languages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { installSteps, isPythonGoodEnough, pythonNames, shortReason } from "../installPlan.ts";
import { withToggled } from "../languagePause.ts";
import { readModelList } from "../modelList.ts";
import { readLogLine } from "../serverLog.ts";

test("the model list says size, place and licence, and what has to be agreed to", () => {
  const rows = [
    { name: "a", parameters: 134_515_008, installed: true, licence: "Apache-2.0", description: "Small." },
    { name: "b", parameters: 3_000_000_000, installed: false, licence: "X", licence_note: "No use.", licence_url: "u" },
  ];
  const [a, b] = readModelList(JSON.stringify(rows), "a");
  assert.ok(a && b);
  assert.equal(a.label, "$(check) a");
  assert.equal(a.description, "135 M · on this disk · Apache-2.0");
  assert.equal(a.condition, "");
  assert.equal(b.description, "3.0 B · to be fetched · X");
  assert.equal(b.condition, "X: No use. u");
});

test("the install plan makes an environment and installs the packaged wheel into it", () => {
  const steps = installSteps({
    python: "python3",
    environment: "/own",
    wheel: "/ext/server/s.whl",
    pipArguments: ["--no-cache-dir"],
    platform: "linux",
  });
  assert.deepEqual(
    steps.map(({ command }) => command),
    ["python3", "/own/bin/python", "/own/bin/python"],
  );
  assert.deepEqual(steps[1]?.args.slice(-2), ["--no-cache-dir", "/ext/server/s.whl"]);
});

test("Python has to be 3.10 or newer", () => {
  assert.equal(isPythonGoodEnough("Python 3.9.18"), false);
  assert.equal(isPythonGoodEnough("Python 3.10.0"), true);
  assert.equal(isPythonGoodEnough("Python 4.0.0"), true);
  assert.equal(isPythonGoodEnough("Python was not found"), false);
  assert.deepEqual(pythonNames("/x/python", "linux"), ["/x/python"]);
  assert.deepEqual(pythonNames("", "win32"), ["py", "python"]);
});

test("of a failed pip its error is shown", () => {
  assert.equal(shortReason("Collecting x\nERROR: No space left\nnotice: upgrade\n"), "ERROR: No space left");
  assert.equal(shortReason("a\nb\n"), "b");
  assert.equal(shortReason(""), "no output");
});

test("a log line has its own level, or that of the line it continues", () => {
  assert.deepEqual(readLogLine("10:48:26 WARNING completion_server.x: slow", "info"), {
    level: "warn",
    text: "completion_server.x: slow",
  });
  assert.deepEqual(readLogLine("  File x", "error"), { level: "error", text: "  File x" });
});

test("a language is put on the list and taken off it", () => {
  assert.deepEqual(withToggled(["rust"], "go"), ["go", "rust"]);
  assert.deepEqual(withToggled(["go", "rust"], "go"), ["rust"]);
});
