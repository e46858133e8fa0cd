import assert from "node:assert/strict";
import { test } from "node:test";
import { findServer, type LookupPlaces } from "../serverLookup.ts";

const PLACES: LookupPlaces = {
  configuredPath: "",
  workspaceFolders: ["/projects/a", "/projects/b"],
  isTrusted: true,
  pathVariable: "/usr/bin:/opt/bin",
  ownEnvironment: "/storage/server",
  home: "/home/me",
  platform: "linux",
};

function find(places: Partial<LookupPlaces>, ...present: string[]): unknown {
  return findServer({ ...PLACES, ...places }, (path) => present.includes(path));
}

const IN_WORKSPACE = "/projects/b/.venv/bin/completion-server";
const ON_PATH = "/opt/bin/completion-server";
const OWN = "/storage/server/bin/completion-server";

test("the setting wins over everything", () => {
  const found = find({ configuredPath: "/x/server" }, "/x/server", IN_WORKSPACE, ON_PATH, OWN);
  assert.deepEqual(found, { command: "/x/server", source: "setting" });
});

test("the setting may name a Python environment, the home or the workspace", () => {
  assert.deepEqual(find({ configuredPath: "~/env" }, "/home/me/env/bin/completion-server"), {
    command: "/home/me/env/bin/completion-server",
    source: "setting",
  });
  assert.deepEqual(find({ configuredPath: "${workspaceFolder}/s" }, "/projects/a/s"), {
    command: "/projects/a/s",
    source: "setting",
  });
});

test("a setting that leads nowhere is an error, not a reason to take another server", () => {
  const found = find({ configuredPath: "/gone" }, ON_PATH);
  assert.deepEqual(found, {
    problem: "completionServer.server.path is /gone, and there is no server",
    canInstall: false,
  });
  assert.ok("problem" in (find({ configuredPath: "relative/server" }, "relative/server") as object));
});

test("then the workspace's environment, PATH, the extension's own", () => {
  assert.deepEqual(find({}, IN_WORKSPACE, ON_PATH, OWN), { command: IN_WORKSPACE, source: "workspace" });
  assert.deepEqual(find({}, ON_PATH, OWN), { command: ON_PATH, source: "path" });
  assert.deepEqual(find({}, OWN), { command: OWN, source: "own" });
  assert.deepEqual(find({}), { problem: "completion-server is not installed", canInstall: true });
});

test("nothing of an untrusted workspace is run, by whatever way", () => {
  const untrusted = { isTrusted: false, pathVariable: "/projects/b/.venv/bin:/projects/ab:/opt/bin" };
  assert.deepEqual(find(untrusted, IN_WORKSPACE, ON_PATH), { command: ON_PATH, source: "path" });
  assert.deepEqual(find(untrusted, "/projects/ab/completion-server"), {
    command: "/projects/ab/completion-server",
    source: "path",
  });
});

test("relative entries of PATH are left out", () => {
  assert.ok("problem" in (find({ pathVariable: ".::bin" }, "completion-server", "bin/completion-server") as object));
});

test("Windows has other names", () => {
  const windows: Partial<LookupPlaces> = {
    platform: "win32",
    workspaceFolders: ["C:\\work"],
    pathVariable: "C:\\bin;D:\\tools",
    ownEnvironment: "C:\\own",
  };
  const inWorkspace = "C:\\work\\.venv\\Scripts\\completion-server.exe";
  assert.deepEqual(find(windows, inWorkspace), { command: inWorkspace, source: "workspace" });
  assert.deepEqual(find(windows, "D:\\tools\\completion-server.exe"), {
    command: "D:\\tools\\completion-server.exe",
    source: "path",
  });
});
