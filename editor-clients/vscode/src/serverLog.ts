// The level of a line that the server wrote to its standard error. Pure.

export type LogLevel = "error" | "warn" | "info" | "debug";

const LEVELS: Record<string, LogLevel> = {
  CRITICAL: "error",
  ERROR: "error",
  WARNING: "warn",
  INFO: "info",
  DEBUG: "debug",
};

export interface LogLine {
  readonly level: LogLevel;
  readonly text: string;
}

/** "10:48:26 INFO    completion_server.x: text". A line that continues another one has that one's level. */
export function readLogLine(line: string, previous: LogLevel): LogLine {
  const match = /^\d\d:\d\d:\d\d (\w+) +(.*)$/.exec(line);
  const level = match?.[1] === undefined ? undefined : LEVELS[match[1]];
  return level === undefined ? { level: previous, text: line } : { level, text: match?.[2] ?? line };
}
