// The models to choose from: the output of `completion-server models list --json`. Pure.
import { asRecord, asText } from "./serverState.ts";

export interface ModelChoice {
  readonly name: string;
  readonly label: string;
  readonly description: string;
  readonly detail: string;
  /** What the user has to agree to before the model is fetched; empty where there is nothing. */
  readonly condition: string;
}

export function readModelList(output: string, currentName: string): ModelChoice[] {
  const rows: unknown = JSON.parse(output);
  return (Array.isArray(rows) ? rows : []).map((row) => choiceOf(asRecord(row), currentName));
}

function choiceOf(row: Record<string, unknown>, currentName: string): ModelChoice {
  const name = asText(row.name);
  const isInstalled = row.installed === true;
  const facts = [sizeOf(row.parameters), isInstalled ? "on this disk" : "to be fetched", asText(row.licence)];
  const note = asText(row.licence_note);
  return {
    name,
    label: name === currentName ? `$(check) ${name}` : name,
    description: facts.filter((fact) => fact !== "").join(" · "),
    detail: asText(row.description),
    condition: note === "" || isInstalled ? "" : `${asText(row.licence)}: ${note} ${asText(row.licence_url)}`.trim(),
  };
}

function sizeOf(parameters: unknown): string {
  if (typeof parameters !== "number") {
    return "";
  }
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)} B` : `${(parameters / 1e6).toFixed(0)} M`;
}
