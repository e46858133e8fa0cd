// What the menu behind the status bar item offers in a state. Pure; the first entry is the most useful one.
import type { ServerState } from "./serverState.ts";
import type { ActiveLanguage } from "./statusView.ts";
import { COMMANDS, type CommandId } from "./commandIds.ts";

export interface MenuEntry {
  readonly label: string;
  readonly command: CommandId;
}

const RESTART: MenuEntry = { label: "$(debug-restart) Restart the server", command: COMMANDS.restart };
const CHOOSE_MODEL: MenuEntry = { label: "$(package) Choose a model…", command: COMMANDS.chooseModel };
const SHOW_LOG: MenuEntry = { label: "$(output) Show the log", command: COMMANDS.showLog };
const EXPLAIN: MenuEntry = { label: "$(question) Why nothing?", command: COMMANDS.explain };
const INSTALL: MenuEntry = { label: "$(cloud-download) Install the server…", command: COMMANDS.install };
const CHOOSE_PATH: MenuEntry = { label: "$(folder-opened) Choose the server's path…", command: COMMANDS.choosePath };
const SETTINGS: MenuEntry = { label: "$(gear) Settings", command: COMMANDS.openSettings };
const PAUSE: MenuEntry = { label: "$(debug-pause) Pause", command: COMMANDS.togglePause };
const RESUME: MenuEntry = { label: "$(play) Resume", command: COMMANDS.togglePause };

export function menuFor(state: ServerState, language?: ActiveLanguage): MenuEntry[] {
  switch (state.kind) {
    case "missing":
      return state.canInstall ? [INSTALL, CHOOSE_PATH, RESTART, SHOW_LOG] : [CHOOSE_PATH, SETTINGS, RESTART, SHOW_LOG];
    case "failed":
      return [RESTART, CHOOSE_MODEL, SHOW_LOG, CHOOSE_PATH, INSTALL, SETTINGS];
    case "starting":
      return [SHOW_LOG, RESTART, SETTINGS];
    case "loading":
      return [SHOW_LOG, CHOOSE_MODEL, RESTART, SETTINGS];
    case "paused":
      return [RESUME, ...languageEntry(language), CHOOSE_MODEL, RESTART, SHOW_LOG, EXPLAIN, SETTINGS];
    case "ready":
      return [...readyHead(language), CHOOSE_MODEL, RESTART, SHOW_LOG, EXPLAIN, SETTINGS];
  }
}

/** What to do about a problem goes to the top. */
function readyHead(language?: ActiveLanguage): MenuEntry[] {
  const entries = [PAUSE, ...languageEntry(language)];
  return language?.isPaused === true ? entries.reverse() : entries;
}

function languageEntry(language?: ActiveLanguage): MenuEntry[] {
  if (language === undefined) {
    return [];
  }
  const label = language.isPaused ? `$(play) Resume for ${language.id}` : `$(circle-slash) Pause for ${language.id}`;
  return [{ label, command: COMMANDS.toggleLanguage }];
}
