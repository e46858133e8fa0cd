import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../explanation.ts";
import type { ServerState } from "../serverState.ts";

const READY: ServerState = { kind: "ready", modelName: "m" };

function verdict(trace: object, state: ServerState = READY): string {
  return explain(trace, state).verdict;
}

test("what holds for every request comes before the last one", () => {
  const trace = { num_items: 1, total_ms: 5 };
  assert.match(verdict(trace, { kind: "paused", modelName: "m", why: "paused by command" }), /paused by command/);
  assert.match(verdict(trace, { kind: "loading", modelName: "m", message: "" }), /still being loaded/);
  assert.match(verdict(trace, { kind: "failed", problem: "no memory" }), /no memory/);
  assert.match(explain(trace, READY, { id: "python", isPaused: true }).verdict, /paused for python/);
});

test("each way of giving nothing has its sentence", () => {
  assert.match(verdict({ reason: "there was no request yet" }), /has not asked/);
  assert.match(verdict({ reason: "the text has changed", finish_reason: "cancelled" }), /the text has changed/);
  assert.match(verdict({ finish_reason: "deadline", total_ms: 301.2 }), /time limit was over after 301 ms/);
  assert.match(verdict({ num_hidden: 1, filters_fired: ["suffix_overlap"] }), /suffix overlap/);
  assert.match(verdict({ finish_reason: "error", reason: "RuntimeError" }), /RuntimeError/);
  assert.match(verdict({ finish_reason: "stop", num_items: 0, total_ms: 9 }), /nothing to add here after 9\.0 ms/);
  assert.match(verdict({ num_items: 1, total_ms: 80 }), /with a suggestion after 80 ms/);
});

test("the details are tables of everything that was told", () => {
  const { details } = explain({ num_prompt_tokens: 57, reason: "a|b", stage_ms: { decode: 120.4 } }, READY);
  assert.match(details, /\| num prompt tokens \| 57 \|/);
  assert.match(details, /\| decode \| 120 ms \|/);
  assert.match(details, /a\\\|b/);
  assert.match(explain(undefined, READY).details, /^# Why nothing\?/);
});
