// The status bar item, and the menu behind it.
import * as vscode from "vscode";
import { COMMANDS } from "./commandIds.ts";
import type { LanguageServer } from "./languageServer.ts";
import { menuFor } from "./menu.ts";
import { listSetting } from "./settings.ts";
import { type ActiveLanguage, viewOf } from "./statusView.ts";

const BACKGROUNDS = { none: undefined, warning: "statusBarItem.warningBackground", error: "statusBarItem.errorBackground" };

/** The language of the file one is in, or undefined. */
export function activeLanguage(): ActiveLanguage | undefined {
  const id = vscode.window.activeTextEditor?.document.languageId;
  return id === undefined ? undefined : { id, isPaused: listSetting("disabledLanguages").includes(id) };
}

export function createStatusBar(server: LanguageServer): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("completion-server", vscode.StatusBarAlignment.Right, 100);
  item.name = "Completion Server";
  item.command = COMMANDS.showMenu;
  const update = (): void => {
    const view = viewOf(server.state, activeLanguage());
    const background = BACKGROUNDS[view.severity];
    item.text = view.text;
    item.tooltip = new vscode.MarkdownString(view.tooltip);
    item.backgroundColor = background === undefined ? undefined : new vscode.ThemeColor(background);
  };
  update();
  item.show();
  return vscode.Disposable.from(
    item,
    server.onDidChangeState(update),
    vscode.window.onDidChangeActiveTextEditor(update),
    vscode.workspace.onDidChangeConfiguration(update),
  );
}

export async function showMenu(server: LanguageServer): Promise<void> {
  const view = viewOf(server.state, activeLanguage());
  const placeHolder = view.tooltip.split("\n")[0]?.replaceAll("`", "") ?? "";
  const entry = await vscode.window.showQuickPick(menuFor(server.state, activeLanguage()), { placeHolder });
  if (entry !== undefined) {
    await vscode.commands.executeCommand(entry.command);
  }
}
