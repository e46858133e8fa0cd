// The life of the server: found, started, watched, restarted. One operation at a time. Tells its state as a ServerState.
import { dirname } from "node:path";
import * as vscode from "vscode";
import { type LanguageClient, State } from "vscode-languageclient/node";
import { createClient } from "./client.ts";
import { locateServer } from "./locate.ts";
import { acceptPart, type Offered } from "./partialAccept.ts";
import type { FoundServer } from "./serverLookup.ts";
import { type ServerState, stateFromProgress, stateFromStatus, STOPPED } from "./serverState.ts";

/** How often, at most, the status is asked for after requests. */
const STATUS_INTERVAL_MS = 500;

export class LanguageServer implements vscode.Disposable {
  state: ServerState = { kind: "starting" };
  found: FoundServer | undefined;
  /** Of the server that runs, once it has said so. */
  version: string | undefined;
  readonly #context: vscode.ExtensionContext;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<ServerState>();
  readonly onDidChangeState = this.#changed.event;
  #client: LanguageClient | undefined;
  #offered: Offered | undefined;
  #operation: Promise<void> = Promise.resolve();
  #statusTimer: NodeJS.Timeout | undefined;

  constructor(context: vscode.ExtensionContext, log: vscode.LogOutputChannel) {
    this.#context = context;
    this.#log = log;
  }

  /** Also the way to start; whatever was going on before is finished first. */
  async restart(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#stop();
      await this.#start();
    });
  }

  /** One of the server's commands; undefined when there is no server to ask. */
  async command(name: string, argument?: unknown): Promise<unknown> {
    const client = this.#client;
    if (client?.isRunning() !== true) {
      return undefined;
    }
    const params = { command: `completionServer.${name}`, arguments: argument === undefined ? [] : [argument] };
    return client.sendRequest("workspace/executeCommand", params);
  }

  /** Pause or resume; the reply is the new status. */
  async setPaused(isPaused: boolean): Promise<void> {
    const reply = await this.command(isPaused ? "pause" : "resume");
    if (reply !== undefined) {
      this.#setState(stateFromStatus(reply));
    }
  }

  /** Runs an editor command that accepts a part of the suggestion, and tells the server which. */
  async acceptPart(editorCommand: string): Promise<void> {
    const part = await acceptPart(this.#offered, () => vscode.commands.executeCommand(editorCommand));
    if (part !== undefined && this.#client?.isRunning() === true) {
      await this.#client.sendNotification("textDocument/didPartiallyAcceptCompletion", part);
    }
  }

  async stop(): Promise<void> {
    return this.#inTurn(async () => this.#stop());
  }

  dispose(): void {
    void this.stop();
    this.#changed.dispose();
  }

  async #start(): Promise<void> {
    const server = locateServer(this.#context);
    if ("problem" in server) {
      this.found = undefined;
      this.#log.error(server.problem);
      this.#setState({ kind: "missing", ...server });
      return;
    }
    this.found = server;
    this.#log.info(`Starting ${server.command} (found by: ${server.source})`);
    this.#setState({ kind: "starting" });
    const client = createClient(server.command, dirname(server.command), this.#log, {
      onProgress: (value) => {
        this.#onProgress(client, value);
      },
      onActivity: () => {
        this.#refreshSoon();
      },
      onOffered: (offered) => {
        this.#offered = offered;
      },
    });
    this.#client = client;
    client.onDidChangeState(({ newState }) => {
      this.#onClientState(client, newState);
    });
    try {
      await client.start();
      this.version = client.initializeResult?.serverInfo?.version;
    } catch (error) {
      this.#client = undefined;
      const problem = `${server.command} could not be started (${messageOf(error)}). The log says more.`;
      this.#setState({ kind: "failed", problem });
    }
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    clearTimeout(this.#statusTimer);
    this.#statusTimer = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      this.#log.warn(`Stopping: ${messageOf(error)}`);
    }
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    this.#operation = this.#operation.then(work, work);
    return this.#operation;
  }

  #onClientState(client: LanguageClient, state: State): void {
    if (client !== this.#client) {
      return; // one that was stopped on purpose
    }
    if (state === State.Running) {
      void this.#refresh({ wait: true }); // answered when the model is loaded, or could not be
    } else if (state === State.Stopped) {
      this.#setState(STOPPED);
    }
  }

  #onProgress(client: LanguageClient, value: unknown): void {
    if (client === this.#client) {
      this.#setState(stateFromProgress(this.state, value));
      this.#refreshSoon();
    }
  }

  #refreshSoon(): void {
    this.#statusTimer ??= setTimeout(() => {
      this.#statusTimer = undefined;
      void this.#refresh({});
    }, STATUS_INTERVAL_MS);
  }

  async #refresh(argument: object): Promise<void> {
    const client = this.#client;
    try {
      const reply = await this.command("status", argument);
      if (reply !== undefined && client === this.#client) {
        this.#setState(stateFromStatus(reply));
      }
    } catch (error) {
      this.#log.debug(`No status: ${messageOf(error)}`);
    }
  }

  #setState(state: ServerState): void {
    this.state = state;
    this.#changed.fire(state);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
