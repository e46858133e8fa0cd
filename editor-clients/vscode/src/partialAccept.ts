// Tells the server how much of a suggestion was taken over by word or line. VS Code runs an item's command only when all
// of it is accepted, and what tells of parts is not open to extensions: so it is read off the text.
import * as vscode from "vscode";
import { acceptedLength } from "./acceptedLength.ts";

export interface Offered {
  readonly uri: string;
  readonly item: vscode.InlineCompletionItem;
}

export interface PartialAccept {
  readonly item: { readonly insertText: string; readonly command: vscode.Command };
  readonly acceptedLength: number;
}

/** Runs `accept`, an editor command, and says what it took of the item offered before; undefined: not a part of it. */
export async function acceptPart(
  offered: Offered | undefined,
  accept: () => Thenable<unknown>,
): Promise<PartialAccept | undefined> {
  await accept();
  const { range, command, insertText } = offered?.item ?? {};
  if (range === undefined || command === undefined || typeof insertText !== "string") {
    return undefined;
  }
  const length = acceptedLength(insertText, textToCursor(offered?.uri, range.start));
  return length > 0 && length < insertText.length ? { item: { insertText, command }, acceptedLength: length } : undefined;
}

/** The text of the active document from `start` to the cursor; "" where another document is active. */
function textToCursor(uri: string | undefined, start: vscode.Position): string {
  const editor = vscode.window.activeTextEditor;
  const isThere = editor?.document.uri.toString() === uri;
  return isThere && editor !== undefined ? editor.document.getText(new vscode.Range(start, editor.selection.active)) : "";
}
