// Every command of this extension, each one line or a call.
import * as vscode from "vscode";
import { chooseModel } from "./chooseModel.ts";
import { type CommandId, COMMANDS } from "./commandIds.ts";
import { installServer } from "./install.ts";
import { withToggled } from "./languagePause.ts";
import type { LanguageServer } from "./languageServer.ts";
import { listSetting, writeSetting } from "./settings.ts";
import { activeLanguage, showMenu } from "./statusBar.ts";
import type { WhyNothing } from "./whyNothing.ts";

export function registerCommands(
  context: vscode.ExtensionContext,
  server: LanguageServer,
  log: vscode.LogOutputChannel,
  whyNothing: WhyNothing,
): vscode.Disposable[] {
  const handlers: Record<CommandId, () => unknown> = {
    [COMMANDS.showMenu]: () => showMenu(server),
    [COMMANDS.togglePause]: () => server.setPaused(server.state.kind !== "paused"),
    [COMMANDS.toggleLanguage]: toggleLanguage,
    [COMMANDS.restart]: () => server.restart(),
    [COMMANDS.chooseModel]: () => chooseModel(server),
    [COMMANDS.showLog]: () => {
      log.show();
    },
    [COMMANDS.explain]: () => whyNothing.show(server),
    [COMMANDS.install]: async () => {
      if (await installServer(context, log, () => server.stop())) {
        await server.restart();
      }
    },
    [COMMANDS.choosePath]: choosePath,
    [COMMANDS.openSettings]: () => openSettings(context),
    [COMMANDS.acceptWord]: () => server.acceptPart("editor.action.inlineSuggest.acceptNextWord"),
    [COMMANDS.acceptLine]: () => server.acceptPart("editor.action.inlineSuggest.acceptNextLine"),
  };
  return Object.entries(handlers).map(([id, handler]) => vscode.commands.registerCommand(id, handler));
}

async function toggleLanguage(): Promise<void> {
  const language = activeLanguage();
  if (language !== undefined) {
    await writeSetting("disabledLanguages", withToggled(listSetting("disabledLanguages"), language.id));
  }
}

async function choosePath(): Promise<void> {
  const title = "The executable completion-server, or the Python environment it is in";
  const picked = await vscode.window.showOpenDialog({ title, canSelectFiles: true, canSelectFolders: true });
  if (picked?.[0] !== undefined) {
    await writeSetting("server.path", picked[0].fsPath);
  }
}

function openSettings(context: vscode.ExtensionContext): Thenable<unknown> {
  return vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${context.extension.id}`);
}
