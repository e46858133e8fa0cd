// The steps that put the server into this extension's own Python environment. Pure: says what to run, runs nothing.
import { pythonIn } from "./serverLookup.ts";

export interface InstallStep {
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
}

export interface InstallOptions {
  readonly python: string;
  readonly environment: string;
  /** The server as it was packaged with this extension. */
  readonly wheel: string;
  readonly pipArguments: readonly string[];
  readonly platform: NodeJS.Platform;
}

export const PYTHON_NEEDED = [3, 10] as const;

export function installSteps(options: InstallOptions): InstallStep[] {
  const python = pythonIn(options.environment, options.platform);
  return [
    {
      title: "Making a Python environment",
      command: options.python,
      args: ["-m", "venv", options.environment],
    },
    {
      title: "Installing the server",
      command: python,
      args: ["-m", "pip", "install", "--disable-pip-version-check", ...options.pipArguments, options.wheel],
    },
    // The first start compiles all modules; better now than while somebody waits.
    { title: "Trying it", command: python, args: ["-m", "completion_server", "--version"] },
  ];
}

/** Interpreters to try, by name: the setting alone if there is one. */
export function pythonNames(configured: string, platform: NodeJS.Platform): string[] {
  if (configured !== "") {
    return [configured];
  }
  return platform === "win32" ? ["py", "python"] : ["python3", "python"];
}

/** `output` of `python --version`: whether that is new enough. */
export function isPythonGoodEnough(output: string): boolean {
  const match = /Python (\d+)\.(\d+)/.exec(output);
  if (match === null) {
    return false;
  }
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > PYTHON_NEEDED[0] || (major === PYTHON_NEEDED[0] && minor >= PYTHON_NEEDED[1]);
}

/** What is worth showing of a pip that failed: its own last error, or its last line. */
export function shortReason(output: string): string {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return lines.findLast((line) => /^error/i.test(line)) ?? lines.at(-1) ?? "no output";
}
