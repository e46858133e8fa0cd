// Entry point: puts the parts together and listens for what calls for another start of the server.
import * as vscode from "vscode";
import { COMMANDS } from "./commandIds.ts";
import { registerCommands } from "./commands.ts";
import { LanguageServer } from "./languageServer.ts";
import type { ServerState } from "./serverState.ts";
import { SECTION, textSetting } from "./settings.ts";
import { createStatusBar } from "./statusBar.ts";
import { WhyNothing } from "./whyNothing.ts";

let server: LanguageServer | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("Completion Server", { log: true });
  const running = new LanguageServer(context, log);
  server = running;
  const whyNothing = new WhyNothing();
  let serverPath = textSetting("server.path");
  context.subscriptions.push(
    log,
    running,
    whyNothing,
    createStatusBar(running),
    ...registerCommands(context, running, log, whyNothing),
    running.onDidChangeState(tellContext),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void running.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      // VS Code also tells of what a workspace has there, which does not count.
      if (event.affectsConfiguration(`${SECTION}.server.path`) && textSetting("server.path") !== serverPath) {
        serverPath = textSetting("server.path");
        void running.restart();
      }
    }),
  );
  await running.restart();
  void offerHelp(running.state);
  void offerUpdate(context, running);
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}

/** For `when` clauses, and for the steps of the walkthrough. */
function tellContext(state: ServerState): void {
  void vscode.commands.executeCommand("setContext", "completion-server.isFound", state.kind !== "missing");
  void vscode.commands.executeCommand("setContext", "completion-server.isReady", state.kind === "ready");
}

async function offerHelp(state: ServerState): Promise<void> {
  if (state.kind !== "missing") {
    return;
  }
  const [install, choose] = ["Install…", "Choose the path…"];
  const answer = state.canInstall
    ? await vscode.window.showInformationMessage(`${state.problem} yet. It runs on this machine.`, install, choose)
    : await vscode.window.showErrorMessage(`${state.problem}.`, choose);
  if (answer === install) {
    await vscode.commands.executeCommand(COMMANDS.install);
  } else if (answer === choose) {
    await vscode.commands.executeCommand(COMMANDS.choosePath);
  }
}

/** The server in this extension's own environment is kept in step with the extension. */
async function offerUpdate(context: vscode.ExtensionContext, { found, version }: LanguageServer): Promise<void> {
  const { version: wanted } = context.extension.packageJSON as { version: string };
  if (found?.source !== "own" || version === undefined || version === wanted) {
    return;
  }
  const update = "Update…";
  const question = `completion-server ${version} is installed; this extension carries ${wanted}.`;
  if ((await vscode.window.showInformationMessage(question, update)) === update) {
    await vscode.commands.executeCommand(COMMANDS.install);
  }
}
