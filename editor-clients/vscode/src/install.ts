// Installs the server that came with this extension into an environment of its own, after asking.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { type InstallStep, installSteps, isPythonGoodEnough, PYTHON_NEEDED, pythonNames, shortReason } from "./installPlan.ts";
import { ownEnvironment } from "./locate.ts";
import { run } from "./process.ts";
import { listSetting, textSetting } from "./settings.ts";

const INSTALL = "Install";

/** True when it was tried, with whatever result. `prepare` comes after the question and before the first step. */
export async function installServer(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  prepare: () => Promise<void>,
): Promise<boolean> {
  const wheel = packagedWheel(context);
  if (wheel === undefined) {
    return fail("This build of the extension carries no server. Set completionServer.server.path.", log);
  }
  const python = await findPython();
  if (python === undefined) {
    const version = PYTHON_NEEDED.join(".");
    return fail(`Python ${version} or newer was not found. Install it, or set completionServer.server.python.`, log);
  }
  const question = "Install completion-server into an environment of its own, kept by this extension?";
  const detail =
    "pip fetches PyTorch and the other packages it needs: up to 1.5 GB on disk, 6 GB on Linux, where pip's usual PyTorch " +
    "brings CUDA along (completionServer.server.pipArguments can choose another). The model comes afterwards: 93 MB, once.";
  if ((await vscode.window.showInformationMessage(question, { modal: true, detail }, INSTALL)) !== INSTALL) {
    return false;
  }
  await prepare();
  const steps = installSteps({
    python,
    environment: ownEnvironment(context),
    wheel,
    pipArguments: listSetting("server.pipArguments"),
    platform: process.platform,
  });
  await vscode.workspace.fs.createDirectory(context.globalStorageUri);
  const problem = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "completion-server", cancellable: true },
    (progress, cancellation) => runSteps(steps, context.globalStorageUri.fsPath, log, progress, cancellation),
  );
  if (problem !== undefined) {
    void fail(problem, log);
  }
  return true;
}

/** What went wrong, or undefined. */
async function runSteps(
  steps: readonly InstallStep[],
  cwd: string,
  log: vscode.LogOutputChannel,
  progress: vscode.Progress<{ message: string }>,
  cancellation: vscode.CancellationToken,
): Promise<string | undefined> {
  const abort = new AbortController();
  cancellation.onCancellationRequested(() => {
    abort.abort();
  });
  for (const { title, command, args } of steps) {
    log.info(`${title}: ${command} ${args.join(" ")}`);
    progress.report({ message: title });
    const onLine = (line: string): void => {
      log.info(line);
      progress.report({ message: `${title}: ${line.trim().slice(0, 80)}` });
    };
    try {
      const { exitCode, output } = await run(command, args, { cwd, signal: abort.signal, onLine });
      if (exitCode !== 0) {
        return `${title} failed: ${shortReason(output)}`;
      }
    } catch (error) {
      return abort.signal.aborted ? "The installation was cancelled." : `${title} failed: ${String(error)}`;
    }
  }
  return undefined;
}

function packagedWheel(context: vscode.ExtensionContext): string | undefined {
  const folder = context.asAbsolutePath("server");
  try {
    const name = readdirSync(folder).find((file) => file.endsWith(".whl"));
    return name === undefined ? undefined : join(folder, name);
  } catch {
    return undefined;
  }
}

async function findPython(): Promise<string | undefined> {
  for (const name of pythonNames(textSetting("server.python"), process.platform)) {
    try {
      const { exitCode, output } = await run(name, ["--version"]);
      if (exitCode === 0 && isPythonGoodEnough(output)) {
        return name;
      }
    } catch {
      // Not there: the next one.
    }
  }
  return undefined;
}

async function fail(problem: string, log: vscode.LogOutputChannel): Promise<false> {
  log.error(problem);
  if ((await vscode.window.showErrorMessage(problem, "Show the log")) !== undefined) {
    log.show();
  }
  return false;
}
