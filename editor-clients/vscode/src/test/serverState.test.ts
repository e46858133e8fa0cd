import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServerState, stateFromProgress, stateFromStatus } from "../serverState.ts";

const READY = { state: "ready", model_name: "m", message: "", last_latency_ms: 12.5 };

test("a status becomes a state", () => {
  assert.deepEqual(stateFromStatus(READY), { kind: "ready", modelName: "m", latencyMs: 12.5 });
  assert.deepEqual(stateFromStatus({ ...READY, last_latency_ms: null }), { kind: "ready", modelName: "m" });
  assert.deepEqual(stateFromStatus({ state: "paused", model_name: "m", message: "paused by command" }), {
    kind: "paused",
    modelName: "m",
    why: "paused by command",
  });
  assert.deepEqual(stateFromStatus({ state: "error", message: "no such file" }), {
    kind: "failed",
    problem: "no such file",
  });
  assert.deepEqual(stateFromStatus({ state: "loading", model_name: "m", message: "fetching", progress: 0.426 }), {
    kind: "loading",
    modelName: "m",
    message: "fetching",
    percentage: 42,
  });
});

test("what is not a status at all means loading, not a crash", () => {
  assert.equal(stateFromStatus(null).kind, "loading");
  assert.equal(stateFromStatus("?").kind, "loading");
});

test("progress moves a loading state on and keeps what it does not say", () => {
  const begun = stateFromProgress({ kind: "starting" }, { kind: "begin", message: "fetching", percentage: 0 });
  assert.deepEqual(begun, { kind: "loading", modelName: "", message: "fetching" });
  const named: ServerState = { kind: "loading", modelName: "m", message: "fetching", percentage: 10 };
  assert.deepEqual(stateFromProgress(named, { kind: "report" }), named);
  assert.deepEqual(stateFromProgress(named, { kind: "report", message: "converting", percentage: 60 }), {
    ...named,
    message: "converting",
    percentage: 60,
  });
});

test("the end of progress does not mean that it went well", () => {
  const state: ServerState = { kind: "loading", modelName: "m", message: "" };
  assert.equal(stateFromProgress(state, { kind: "end", message: "done" }), state);
});
