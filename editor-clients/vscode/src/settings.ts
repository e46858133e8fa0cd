// VS Code's settings of the section `completionServer`, with workspace trust applied.
import * as vscode from "vscode";
import { SERVER_SETTING_KEYS } from "./generated/serverSettingKeys.ts";
import { sectionForServer, valueInForce } from "./serverSettings.ts";

export const SECTION = "completionServer";

/** What the server is told. */
export function settingsForServer(): Record<string, unknown> {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  return sectionForServer(SERVER_SETTING_KEYS, (key) => configuration.inspect(key), vscode.workspace.isTrusted);
}

/** One of this extension's own settings, or one of the server's as it is set here. */
export function textSetting(key: string): string {
  const value = setting(key);
  return typeof value === "string" ? value.trim() : "";
}

export function listSetting(key: string): string[] {
  const value = setting(key);
  return Array.isArray(value) ? value.map(String) : [];
}

/** Writes where the setting is set already, else into the user's settings. */
export async function writeSetting(key: string, value: unknown): Promise<void> {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  const isOfWorkspace = configuration.inspect(key)?.workspaceValue !== undefined;
  const target = isOfWorkspace ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
  await configuration.update(key, value, target);
}

function setting(key: string): unknown {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  return valueInForce(key, configuration.inspect(key), vscode.workspace.isTrusted);
}
