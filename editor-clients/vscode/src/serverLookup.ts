// Where the server is: the setting, the workspace's .venv, PATH, this extension's own environment; in this order.
// Pure: the file system is asked through `isExecutable`.
import { posix, win32 } from "node:path";

export type ServerSource = "setting" | "workspace" | "path" | "own";

export interface FoundServer {
  readonly command: string;
  readonly source: ServerSource;
}

export interface MissingServer {
  readonly problem: string;
  /** True where installing would help; a wrong setting has to be corrected instead. */
  readonly canInstall: boolean;
}

export interface LookupPlaces {
  readonly configuredPath: string;
  readonly workspaceFolders: readonly string[];
  /** In a workspace that is not trusted, nothing of it is ever run. */
  readonly isTrusted: boolean;
  readonly pathVariable: string;
  readonly ownEnvironment: string;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

export const WORKSPACE_ENVIRONMENTS = [".venv", "venv"];

export function findServer(
  places: LookupPlaces,
  isExecutable: (path: string) => boolean,
): FoundServer | MissingServer {
  const first = (paths: readonly string[], source: ServerSource): FoundServer | undefined => {
    const command = paths.find(isExecutable);
    return command === undefined ? undefined : { command, source };
  };
  if (places.configuredPath !== "") {
    const paths = configuredCandidates(places);
    return (
      first(paths, "setting") ?? {
        problem: `completionServer.server.path is ${places.configuredPath}, and there is no server`,
        canInstall: false,
      }
    );
  }
  return (
    first(workspaceCandidates(places), "workspace") ??
    first(pathCandidates(places), "path") ??
    first([serverIn(places.ownEnvironment, places.platform)], "own") ?? {
      problem: "completion-server is not installed",
      canInstall: true,
    }
  );
}

/** The server's executable in a Python environment. */
export function serverIn(environment: string, platform: NodeJS.Platform): string {
  return scriptIn(environment, "completion-server", platform);
}

/** The interpreter of a Python environment. */
export function pythonIn(environment: string, platform: NodeJS.Platform): string {
  return scriptIn(environment, "python", platform);
}

function scriptIn(environment: string, name: string, platform: NodeJS.Platform): string {
  return platform === "win32"
    ? win32.join(environment, "Scripts", `${name}.exe`)
    : posix.join(environment, "bin", name);
}

/** The executable itself, or the Python environment it is in. */
function configuredCandidates(places: LookupPlaces): string[] {
  const folder = places.workspaceFolders[0];
  let path = places.configuredPath.replace(/^~(?=$|[\\/])/, places.home);
  if (folder !== undefined) {
    path = path.replaceAll("${workspaceFolder}", folder);
  }
  return pathOf(places.platform).isAbsolute(path) ? [path, serverIn(path, places.platform)] : [];
}

function workspaceCandidates(places: LookupPlaces): string[] {
  if (!places.isTrusted) {
    return [];
  }
  const path = pathOf(places.platform);
  return places.workspaceFolders.flatMap((folder) =>
    WORKSPACE_ENVIRONMENTS.map((name) => serverIn(path.join(folder, name), places.platform)),
  );
}

/** Entries that are relative, or lie in a workspace that is not trusted, are left out. */
function pathCandidates(places: LookupPlaces): string[] {
  const path = pathOf(places.platform);
  const name = places.platform === "win32" ? "completion-server.exe" : "completion-server";
  const isInside = (folder: string, entry: string): boolean => {
    const way = path.relative(folder, entry);
    return !way.startsWith("..") && !path.isAbsolute(way);
  };
  return places.pathVariable
    .split(path.delimiter)
    .filter((entry) => path.isAbsolute(entry))
    .filter((entry) => places.isTrusted || !places.workspaceFolders.some((folder) => isInside(folder, entry)))
    .map((entry) => path.join(entry, name));
}

function pathOf(platform: NodeJS.Platform): typeof posix {
  return platform === "win32" ? win32 : posix;
}
