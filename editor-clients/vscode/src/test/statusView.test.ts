import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS } from "../commandIds.ts";
import { menuFor } from "../menu.ts";
import type { ServerState } from "../serverState.ts";
import { viewOf } from "../statusView.ts";

const READY: ServerState = { kind: "ready", modelName: "smollm2-135m", latencyMs: 3.14159 };

test("ready shows the model, and the latency on hover", () => {
  const view = viewOf(READY);
  assert.equal(view.text, "$(zap) smollm2-135m");
  assert.match(view.tooltip, /Last request: 3\.1 ms/);
  assert.match(viewOf({ kind: "ready", modelName: "m" }).tooltip, /No request yet/);
});

test("a model that is a path is shown by its last part", () => {
  assert.equal(viewOf({ kind: "ready", modelName: "/models/coder.gguf" }).text, "$(zap) coder.gguf");
  assert.equal(viewOf({ kind: "ready", modelName: "C:\\models\\coder.gguf" }).text, "$(zap) coder.gguf");
});

test("loading shows how far it is", () => {
  const view = viewOf({ kind: "loading", modelName: "m", message: "fetching", percentage: 42 });
  assert.equal(view.text, "$(loading~spin) m 42 %");
  assert.match(view.tooltip, /fetching/);
});

test("an error is red, says what is wrong and offers what helps first", () => {
  const missing: ServerState = { kind: "missing", problem: "completion-server is not installed", canInstall: true };
  assert.equal(viewOf(missing).severity, "error");
  assert.match(viewOf(missing).tooltip, /not installed.*install it/s);
  assert.equal(menuFor(missing)[0]?.command, COMMANDS.install);
  assert.equal(menuFor({ ...missing, canInstall: false })[0]?.command, COMMANDS.choosePath);
  const failed: ServerState = { kind: "failed", problem: "no such model" };
  assert.match(viewOf(failed).tooltip, /no such model/);
  assert.equal(menuFor(failed)[0]?.command, COMMANDS.restart);
});

test("paused is seen, and the menu resumes", () => {
  const paused: ServerState = { kind: "paused", modelName: "m", why: "paused by command" };
  assert.equal(viewOf(paused).text, "$(debug-pause) m");
  assert.match(menuFor(paused)[0]?.label ?? "", /Resume/);
  assert.equal(menuFor(READY)[0]?.command, COMMANDS.togglePause);
});

test("a paused file type is seen only in files of that type", () => {
  const python = { id: "python", isPaused: true };
  assert.equal(viewOf(READY, python).text, "$(circle-slash) smollm2-135m");
  assert.equal(viewOf(READY, { id: "go", isPaused: false }).text, "$(zap) smollm2-135m");
  assert.equal(menuFor(READY, python)[0]?.label, "$(play) Resume for python");
  assert.equal(menuFor(READY).filter(({ command }) => command === COMMANDS.toggleLanguage).length, 0);
});
