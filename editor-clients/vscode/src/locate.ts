// The server lookup on this machine, for this workspace.
import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { findServer, type FoundServer, type MissingServer } from "./serverLookup.ts";
import { textSetting } from "./settings.ts";

/** This extension's own Python environment. */
export function ownEnvironment(context: vscode.ExtensionContext): string {
  return join(context.globalStorageUri.fsPath, "server");
}

export function locateServer(context: vscode.ExtensionContext): FoundServer | MissingServer {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return findServer(
    {
      configuredPath: textSetting("server.path"),
      workspaceFolders: folders.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath),
      isTrusted: vscode.workspace.isTrusted,
      pathVariable: process.env.PATH ?? "",
      ownEnvironment: ownEnvironment(context),
      home: homedir(),
      platform: process.platform,
    },
    isExecutable,
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
