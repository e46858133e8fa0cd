// How a state is shown in the status bar: text, hover and severity. Pure.
import { basename } from "node:path";
import type { ServerState } from "./serverState.ts";

export interface ActiveLanguage {
  readonly id: string;
  readonly isPaused: boolean;
}

export interface StatusView {
  readonly text: string;
  /** Markdown. */
  readonly tooltip: string;
  readonly severity: "none" | "warning" | "error";
}

export function viewOf(state: ServerState, language?: ActiveLanguage): StatusView {
  switch (state.kind) {
    case "missing":
      return {
        text: "$(error) Completion",
        tooltip: `${state.problem}.\n\nClick to ${state.canInstall ? "install it" : "correct it"}.`,
        severity: "error",
      };
    case "starting":
      return { text: "$(loading~spin) Completion", tooltip: "The server is starting.", severity: "none" };
    case "loading":
      return loadingView(state);
    case "ready":
      return language?.isPaused === true ? languagePausedView(state.modelName, language.id) : readyView(state);
    case "paused":
      return {
        text: `$(debug-pause) ${shortName(state.modelName)}`,
        tooltip: `No suggestions: ${state.why}.\n\nClick to resume.`,
        severity: "none",
      };
    case "failed":
      return {
        text: "$(error) Completion",
        tooltip: `No suggestions: ${state.problem}\n\nClick for what can be done.`,
        severity: "error",
      };
  }
}

/** A model may be a path; its last part is enough for a status bar. */
export function shortName(modelName: string): string {
  return basename(modelName.replaceAll("\\", "/")) || "Completion";
}

/** Milliseconds as one reads them: below ten with one decimal. */
export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

function loadingView(state: ServerState & { kind: "loading" }): StatusView {
  const percentage = state.percentage === undefined ? "" : ` ${state.percentage} %`;
  const name = state.modelName === "" ? "the model" : `\`${state.modelName}\``;
  const details = state.message === "" ? "" : `\n\n${state.message}`;
  return {
    text: `$(loading~spin) ${shortName(state.modelName)}${percentage}`,
    tooltip: `Loading ${name}.${details}`,
    severity: "none",
  };
}

function readyView(state: ServerState & { kind: "ready" }): StatusView {
  const latency =
    state.latencyMs === undefined ? "No request yet." : `Last request: ${milliseconds(state.latencyMs)}.`;
  return {
    text: `$(zap) ${shortName(state.modelName)}`,
    tooltip: `\`${state.modelName}\` is ready. ${latency}\n\nClick for the menu.`,
    severity: "none",
  };
}

function languagePausedView(modelName: string, languageId: string): StatusView {
  return {
    text: `$(circle-slash) ${shortName(modelName)}`,
    tooltip: `Paused for files of the language \`${languageId}\`.\n\nClick to resume.`,
    severity: "none",
  };
}
