// "Why nothing?": what `completionServer.explain` tells, as one sentence and a page of details. Pure.
import { asRecord, asText, type ServerState } from "./serverState.ts";
import { milliseconds, type ActiveLanguage } from "./statusView.ts";

export interface Explanation {
  readonly verdict: string;
  /** Markdown. */
  readonly details: string;
}

export function explain(trace: unknown, state: ServerState, language?: ActiveLanguage): Explanation {
  const facts = asRecord(trace);
  const verdict = verdictOfState(state, language) ?? verdictOfTrace(facts);
  return { verdict, details: detailsOf(verdict, facts) };
}

/** Reasons that hold for every request, whatever the last one was. */
function verdictOfState(state: ServerState, language?: ActiveLanguage): string | undefined {
  switch (state.kind) {
    case "missing":
    case "failed":
      return `No suggestions: ${state.problem}`;
    case "starting":
    case "loading":
      return "The model is still being loaded.";
    case "paused":
      return `No suggestions: ${state.why}.`;
    case "ready":
      return language?.isPaused === true ? `Suggestions are paused for ${language.id}.` : undefined;
  }
}

function verdictOfTrace(facts: Record<string, unknown>): string {
  const reason = asText(facts.reason);
  const numItems = asNumber(facts.num_items);
  const took = facts.total_ms === undefined ? "" : ` after ${milliseconds(asNumber(facts.total_ms))}`;
  if (numItems > 0) {
    return `The last request was answered with a suggestion${took}. The editor hides one while its own list is open or when the cursor has moved on.`;
  }
  if (facts.finish_reason === "error") {
    return `The model failed on the last request (${reason || "see the log"}).`;
  }
  if (reason === "there was no request yet") {
    return "The editor has not asked for a suggestion in this file yet: type, or run “Trigger Inline Suggestion”.";
  }
  if (reason !== "") {
    return `The last request was not answered: ${reason}.`;
  }
  if (asNumber(facts.num_hidden) > 0) {
    return `What the model wrote was not worth showing (${listOf(facts.filters_fired) || "filtered"}).`;
  }
  if (facts.finish_reason === "deadline") {
    return `The time limit was over${took}, before there was a usable suggestion. A smaller model or a longer completionServer.latency.automaticTimeoutMs helps.`;
  }
  return `The model had nothing to add here${took}.`;
}

function detailsOf(verdict: string, facts: Record<string, unknown>): string {
  const rows = Object.entries(facts)
    .filter(([, value]) => typeof value !== "object")
    .map(([name, value]) => `| ${wordsOf(name)} | ${cellOf(value)} |`);
  const stages = Object.entries(asRecord(facts.stage_ms)).map(
    ([name, value]) => `| ${wordsOf(name)} | ${milliseconds(asNumber(value))} |`,
  );
  return [
    "# Why nothing?",
    "",
    verdict,
    ...table("The last request in this file", ["", ""], rows),
    ...table("Where its time went", ["stage", "time"], stages),
    "",
    "No text of your files is kept in this record.",
    "",
  ].join("\n");
}

function table(title: string, head: readonly [string, string], rows: readonly string[]): string[] {
  return rows.length === 0 ? [] : ["", `## ${title}`, "", `| ${head[0]} | ${head[1]} |`, "|---|---|", ...rows];
}

function wordsOf(name: string): string {
  return name.replaceAll("_", " ");
}

function cellOf(value: unknown): string {
  return String(value).replaceAll("|", "\\|").replaceAll("\n", " ");
}

function listOf(value: unknown): string {
  return Array.isArray(value) ? value.map((item) => wordsOf(String(item))).join(", ") : "";
}

function asNumber(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
