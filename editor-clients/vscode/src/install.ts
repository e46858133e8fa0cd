// Installs the server that came with this extension into an environment of its own, after asking.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { installSteps, isPythonGoodEnough, PYTHON_NEEDED, pythonNames, shortReason } from "./installPlan.ts";
import { ownEnvironment } from "./locate.ts";
import { run } from "./process.ts";
import { listSetting, textSetting } from "./settings.ts";

const INSTALL = "Install";

/** True when the server is there afterwards. */
export async function installServer(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Promise<boolean> {
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
    "pip fetches PyTorch and the other packages it needs: about 1 GB on disk, several GB on Linux, where pip's usual " +
    "PyTorch brings CUDA along (completionServer.server.pipArguments can choose another). The model comes " +
    "afterwards: 93 MB, once.";
  if ((await vscode.window.showInformationMessage(question, { modal: true, detail }, INSTALL)) !== INSTALL) {
    return false;
  }
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
    async (progress, cancellation) => {
      const abort = new AbortController();
      cancellation.onCancellationRequested(() => {
        abort.abort();
      });
      for (const step of steps) {
        log.info(`${step.title}: ${step.command} ${step.args.join(" ")}`);
        progress.report({ message: step.title });
        const onLine = (line: string): void => {
          log.info(line);
          progress.report({ message: `${step.title}: ${line.trim().slice(0, 80)}` });
        };
        try {
          const options = { cwd: context.globalStorageUri.fsPath, signal: abort.signal, onLine };
          const { exitCode, output } = await run(step.command, step.args, options);
          if (exitCode !== 0) {
            return `${step.title} failed: ${shortReason(output)}`;
          }
        } catch (error) {
          return abort.signal.aborted ? "The installation was cancelled." : `${step.title} failed: ${String(error)}`;
        }
      }
      return undefined;
    },
  );
  return problem === undefined || fail(problem, log);
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
