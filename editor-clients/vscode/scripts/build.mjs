// Bundles the extension into dist/extension.js.   usage: node scripts/build.mjs [--watch]
import { context } from "esbuild";

const build = await context({
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  external: ["vscode"],
  mainFields: ["module", "main"],
  minify: true,
  sourcemap: false,
  legalComments: "linked",
  logLevel: "warning",
});
if (process.argv.includes("--watch")) {
  await build.watch();
} else {
  await build.rebuild();
  await build.dispose();
}
