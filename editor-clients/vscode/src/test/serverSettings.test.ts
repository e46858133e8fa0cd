import assert from "node:assert/strict";
import { test } from "node:test";
import { HARMLESS_KEYS, SERVER_SETTING_KEYS, USERS_ONLY_KEYS } from "../generated/serverSettingKeys.ts";
import { type InspectedSetting, sectionForServer, valueInForce } from "../serverSettings.ts";

function section(settings: Record<string, InspectedSetting>, isTrusted = true): Record<string, unknown> {
  return sectionForServer(SERVER_SETTING_KEYS, (key) => settings[key], isTrusted);
}

test("only what somebody has set is sent", () => {
  const defaults = Object.fromEntries(SERVER_SETTING_KEYS.map((key) => [key, { defaultValue: 1 }]));
  assert.deepEqual(section(defaults), { trustWorkspace: true });
  assert.deepEqual(section({ "latency.automaticTimeoutMs": { globalValue: 500 }, enabled: { globalValue: false } }), {
    enabled: false,
    latency: { automaticTimeoutMs: 500 },
    trustWorkspace: true,
  });
});

test("the extension's own settings are not sent", () => {
  assert.deepEqual(section({ "server.path": { globalValue: "/x" } }), { trustWorkspace: true });
});

test("the workspace's value wins over the user's, the folder's over both", () => {
  const both = { "model.name": { globalValue: "a", workspaceValue: "b" } };
  assert.deepEqual(section(both).model, { name: "b" });
  const all = { "model.name": { globalValue: "a", workspaceValue: "b", workspaceFolderValue: "c" } };
  assert.deepEqual(section(all).model, { name: "c" });
});

test("an untrusted workspace has no say in the model, and is not trusted by its own word", () => {
  const settings = {
    "model.name": { globalValue: "mine", workspaceValue: "/evil" },
    "model.cacheDir": { workspaceValue: "/evil" },
    trustWorkspace: { workspaceValue: true },
    disabledLanguages: { workspaceValue: ["python"] },
  };
  assert.deepEqual(section(settings, false), {
    model: { name: "mine" },
    disabledLanguages: ["python"],
    trustWorkspace: false,
  });
});

test("a workspace that is trusted has no say in addresses, nor in what is run", () => {
  for (const key of USERS_ONLY_KEYS) {
    for (const workspace of [{ workspaceValue: "evil" }, { workspaceFolderValue: "evil" }]) {
      assert.equal(valueInForce(key, workspace, true), undefined);
      assert.equal(valueInForce(key, { globalValue: "mine", ...workspace }, true), "mine");
    }
  }
  for (const key of ["remote.url", "remote.tokenizer", "log.otlpEndpoint", "model.cacheDir", "server.path"]) {
    assert.ok(USERS_ONLY_KEYS.includes(key));
  }
});

test("an untrusted workspace has a say in harmless settings only", () => {
  for (const key of SERVER_SETTING_KEYS) {
    const value = valueInForce(key, { globalValue: "mine", workspaceValue: "theirs" }, false);
    assert.equal(value, HARMLESS_KEYS.includes(key) ? "theirs" : "mine");
  }
});

test("the user may distrust what VS Code trusts", () => {
  assert.equal(section({ trustWorkspace: { globalValue: false } }).trustWorkspace, false);
});
