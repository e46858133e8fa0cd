// What is known of the server, as one value; and how the replies of `completionServer.status` and $/progress become one.

export type ServerState =
  | { readonly kind: "missing"; readonly problem: string; readonly canInstall: boolean }
  | { readonly kind: "starting" }
  | { readonly kind: "loading"; readonly modelName: string; readonly message: string; readonly percentage?: number }
  | { readonly kind: "ready"; readonly modelName: string; readonly latencyMs?: number }
  | { readonly kind: "paused"; readonly modelName: string; readonly why: string }
  | { readonly kind: "failed"; readonly problem: string };

export const STOPPED: ServerState = { kind: "failed", problem: "The server has stopped." };

/** A reply of `completionServer.status`. */
export function stateFromStatus(reply: unknown): ServerState {
  const status = asRecord(reply);
  const modelName = asText(status.model_name);
  const message = asText(status.message);
  switch (status.state) {
    case "ready": {
      const latency = status.last_latency_ms;
      return { kind: "ready", modelName, ...(typeof latency === "number" && { latencyMs: latency }) };
    }
    case "paused":
      return { kind: "paused", modelName, why: message };
    case "error":
      return { kind: "failed", problem: message };
    default: {
      const fraction = status.progress;
      return {
        kind: "loading",
        modelName,
        message,
        ...(typeof fraction === "number" && { percentage: Math.floor(fraction * 100) }),
      };
    }
  }
}

/** `state` after a $/progress value. The end says nothing of success: ask for the status then. */
export function stateFromProgress(state: ServerState, value: unknown): ServerState {
  const { kind, message, percentage } = asRecord(value);
  if (kind !== "begin" && kind !== "report") {
    return state;
  }
  const before = state.kind === "loading" ? state : undefined;
  const done = typeof percentage === "number" && percentage > 0 ? percentage : before?.percentage;
  return {
    kind: "loading",
    modelName: "modelName" in state ? state.modelName : "",
    message: asText(message) || (before?.message ?? ""),
    ...(done !== undefined && { percentage: done }),
  };
}

export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}
