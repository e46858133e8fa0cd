// Runs a program to its end and collects what it says.
import { spawn } from "node:child_process";

export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  /** Both streams, as they came. */
  readonly output: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Rejects only when the program cannot be started or `signal` ends it. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
    let stdout = "";
    let output = "";
    let rest = "";
    const take = (text: string): void => {
      output += text;
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? "";
      lines.forEach((line) => options.onLine?.(line));
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      take(text);
    });
    child.stderr.setEncoding("utf8").on("data", take);
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ exitCode: code ?? -1, stdout, output });
    });
  });
}
