// Choosing a model: from the server's own list, a folder or file on this disk, or by name.
import * as vscode from "vscode";
import type { LanguageServer } from "./languageServer.ts";
import { readModelList } from "./modelList.ts";
import { run } from "./process.ts";
import { shortReason } from "./installPlan.ts";
import { textSetting, writeSetting } from "./settings.ts";

const FROM_DISK = "$(folder-opened) A folder or .gguf file…";
const BY_NAME = "$(edit) Another name or Hub id…";

export async function chooseModel(server: LanguageServer): Promise<void> {
  const command = server.found?.command;
  if (command === undefined) {
    await vscode.window.showErrorMessage("There is no server yet, and so no list of models.");
    return;
  }
  const listed = await run(command, ["models", "list", "--json"]);
  if (listed.exitCode !== 0) {
    await vscode.window.showErrorMessage(`The models could not be listed: ${shortReason(listed.output)}`);
    return;
  }
  const current = "modelName" in server.state ? server.state.modelName : textSetting("model.name");
  const choices = readModelList(listed.stdout, current);
  const others = [{ label: FROM_DISK }, { label: BY_NAME }];
  const picked = await vscode.window.showQuickPick<vscode.QuickPickItem>([...choices, ...others], {
    placeHolder: "The model that writes the suggestions",
    matchOnDescription: true,
  });
  const name = picked === undefined ? undefined : await nameOf(picked, choices);
  if (name !== undefined && name !== "") {
    await writeSetting("model.name", name);
  }
}

async function nameOf(
  picked: vscode.QuickPickItem,
  choices: readonly { label: string; name: string; condition: string }[],
): Promise<string | undefined> {
  if (picked.label === FROM_DISK) {
    const filters = { "Models (GGUF)": ["gguf"], "All files": ["*"] };
    const options = { canSelectFolders: true, canSelectFiles: true, filters };
    return (await vscode.window.showOpenDialog(options))?.[0]?.fsPath;
  }
  if (picked.label === BY_NAME) {
    return vscode.window.showInputBox({ prompt: "A name of `completion-server models list`, or a Hub id (org/name)" });
  }
  const choice = choices.find(({ label }) => label === picked.label);
  if (choice === undefined || choice.condition === "") {
    return choice?.name;
  }
  const use = "Use this model";
  const answer = await vscode.window.showWarningMessage(
    `${choice.name} comes with conditions`,
    { modal: true, detail: choice.condition },
    use,
  );
  return answer === use ? choice.name : undefined;
}
