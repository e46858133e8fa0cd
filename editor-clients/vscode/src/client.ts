// The language client: what is started, which documents it tells of, and where its settings come from.
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type * as vscode from "vscode";
import { LanguageClient, type Middleware, RevealOutputChannelOn, type StaticFeature } from "vscode-languageclient/node";
import type { Offered } from "./partialAccept.ts";
import { type LogLevel, readLogLine } from "./serverLog.ts";
import { SECTION, settingsForServer } from "./settings.ts";

export interface ClientEvents {
  /** A $/progress value. */
  readonly onProgress: (value: unknown) => void;
  /** What the server's status says may have changed. */
  readonly onActivity: () => void;
  /** The first item for a place, undefined: none. */
  readonly onOffered: (offered: Offered | undefined) => void;
}

const DOCUMENTS = [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }];

export function createClient(
  command: string,
  cwd: string,
  log: vscode.LogOutputChannel,
  events: ClientEvents,
): LanguageClient {
  // No `transport`: that would add --stdio to the arguments.
  const server = { command, args: ["serve"], options: { cwd } };
  const client = new LanguageClient(SECTION, "completion-server", server, {
    documentSelector: DOCUMENTS,
    initializationOptions: settingsForServer(),
    outputChannel: log,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    stdioOptions: { stdout: copyLines, stderr: copyLines },
    middleware: middleware(events),
  });
  client.registerFeature(usersAddresses());
  return client;
}

/** Tells the server that addresses in the settings are the user's own: see `USERS_ONLY_KEYS`. */
function usersAddresses(): StaticFeature {
  return {
    fillClientCapabilities: (capabilities) => {
      capabilities.experimental = { ...(capabilities.experimental as object), [SECTION]: { userAddresses: true } };
    },
    initialize: () => undefined,
    getState: () => ({ kind: "static" }),
    clear: () => undefined,
  };
}

function middleware(events: ClientEvents): Middleware {
  return {
    workspace: {
      configuration: async (params, token, next) => {
        const values = await next(params, token);
        if (!Array.isArray(values)) {
          return values;
        }
        setImmediate(events.onActivity);
        const answers: unknown[] = values;
        return params.items.map((item, index) => (item.section === SECTION ? settingsForServer() : answers[index]));
      },
    },
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const items = await next(document, position, context, token);
      const item = Array.isArray(items) ? items[0] : items?.items[0];
      events.onOffered(item && { uri: document.uri.toString(), item });
      events.onActivity();
      return items;
    },
    executeCommand: async (command, args, next) => {
      const result: unknown = await next(command, args);
      events.onActivity();
      return result;
    },
    handleWorkDoneProgress: (_token, value, next) => {
      events.onProgress(value);
      if (value.kind === "end") {
        next(_token, value); // the client cleans up; the bar itself is ours
      }
    },
  };
}

function copyLines(input: Readable, log: vscode.LogOutputChannel): void {
  let level: LogLevel = "info";
  createInterface({ input, crlfDelay: Infinity, terminal: false }).on("line", (line) => {
    const read = readLogLine(line, level);
    level = read.level;
    log[level](read.text);
  });
}
