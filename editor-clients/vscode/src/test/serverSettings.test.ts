import assert from "node:assert/strict";
import { test } from "node:test";
import { SERVER_SETTING_KEYS } from "../generated/serverSettingKeys.ts";
import { type InspectedSetting, sectionForServer } from "../serverSettings.ts";

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

test("the user may distrust what VS Code trusts", () => {
  assert.equal(section({ trustWorkspace: { globalValue: false } }).trustWorkspace, false);
});
