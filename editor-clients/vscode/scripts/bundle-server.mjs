// Builds the server's wheel from this repository into server/, for the extension to install from.
// usage: node scripts/bundle-server.mjs      (PYTHON: the interpreter, default python3)
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const extension = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = join(extension, "server");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const args = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, join(extension, "..", "..")];
const { status, error } = spawnSync(process.env.PYTHON ?? "python3", args, { stdio: "inherit" });
if (status !== 0) {
  console.error(`bundle-server: pip could not build the wheel${error ? ` (${error.message})` : ""}`);
  process.exit(1);
}
console.log(`bundle-server: ${readdirSync(folder).join(", ")}`);
