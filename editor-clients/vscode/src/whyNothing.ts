// "Why nothing?" in the editor: the sentence in a message, the details in a read-only page beside.
import * as vscode from "vscode";
import { explain } from "./explanation.ts";
import type { LanguageServer } from "./languageServer.ts";
import { activeLanguage } from "./statusBar.ts";

const SCHEME = "completion-server-explanation";
const PAGE = vscode.Uri.from({ scheme: SCHEME, path: "/Why nothing?.md" });

export class WhyNothing implements vscode.Disposable, vscode.TextDocumentContentProvider {
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  #page = "";

  async show(server: LanguageServer): Promise<void> {
    const uri = vscode.window.activeTextEditor?.document.uri.toString();
    const trace = await server.command("explain", uri === undefined ? undefined : { uri });
    const { verdict, details } = explain(trace, server.state, activeLanguage());
    const more = "Details";
    if ((await vscode.window.showInformationMessage(verdict, more)) === more) {
      this.#page = details;
      this.#changed.fire(PAGE);
      await vscode.commands.executeCommand("markdown.showPreviewToSide", PAGE);
    }
  }

  provideTextDocumentContent(): string {
    return this.#page;
  }

  dispose(): void {
    this.#registration.dispose();
    this.#changed.dispose();
  }
}
