// What of VS Code's settings goes to the server: only what somebody has set, nothing of this extension's own.
// Defaults are not sent, since a value from an editor wins over the workspace's .completion-server.toml.
// Pure: a setting is looked up through `inspect`.
import { HARMLESS_KEYS, USERS_ONLY_KEYS } from "./generated/serverSettingKeys.ts";

export interface InspectedSetting {
  /** Known to the server itself, and so never sent. */
  readonly defaultValue?: unknown;
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

/** Settings of which a workspace that is not trusted has no say: all that are not known to be harmless. */
export function isRestricted(key: string): boolean {
  return !HARMLESS_KEYS.includes(key);
}

/** The value that somebody has set, or undefined. */
export function valueInForce(key: string, inspected: InspectedSetting | undefined, isTrusted: boolean): unknown {
  const ofWorkspace = inspected?.workspaceFolderValue ?? inspected?.workspaceValue;
  // VS Code does not read these from a workspace either; the server relies on it, so it is not left to VS Code alone.
  if (USERS_ONLY_KEYS.includes(key)) {
    return inspected?.globalValue;
  }
  if (ofWorkspace !== undefined && (isTrusted || !isRestricted(key))) {
    return ofWorkspace;
  }
  return inspected?.globalValue;
}

/** The section `completionServer` as the server gets it. */
export function sectionForServer(
  keys: readonly string[],
  inspect: (key: string) => InspectedSetting | undefined,
  isTrusted: boolean,
): Record<string, unknown> {
  const section: Record<string, unknown> = {};
  for (const key of keys) {
    const value = valueInForce(key, inspect(key), isTrusted);
    if (value !== undefined) {
      put(section, key.split("."), value);
    }
  }
  section.trustWorkspace = isTrusted && section.trustWorkspace !== false;
  return section;
}

function put(section: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined) {
    return;
  }
  if (rest.length === 0) {
    section[head] = value;
    return;
  }
  const inner = (section[head] ??= {}) as Record<string, unknown>;
  put(inner, rest, value);
}
