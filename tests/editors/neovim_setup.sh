#!/usr/bin/env bash
# A real Neovim 0.12, with the client built in, for tests/editors/test_neovim_native.py. (0.11 comes from PyPI.)
#
#   tests/editors/neovim_setup.sh
#
# Where the system has none, on Debian: the one of the suite sid, unpacked into build/neovim (git-ignored) with the C library
# it needs; the system stays as it is. It starts there only without a terminal, which is how the tests use it.
set -euo pipefail

home=$(cd "$(dirname "$0")/../.." && pwd)/build/neovim
suite=sid
limit=120

is_new_enough() { "$1" --version 2>/dev/null | grep -qE '^NVIM v(0\.1[2-9]|0\.[2-9][0-9]|[1-9])'; }

for nvim in nvim "$home/nvim"; do
  if command -v "$nvim" >/dev/null && is_new_enough "$nvim"; then exit 0; fi
done
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || { echo "neovim_setup: no Debian for amd64" >&2; exit 1; }

# A package list of its own, from the mirror that this machine uses.
apt=$home/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$home/root"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1) || true
[ -n "$mirror" ] || { echo "neovim_setup: apt-get knows of no mirror" >&2; exit 1; }
echo "deb $mirror $suite main" >"$apt/sources.list"
: >"$apt/status"
cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::State "$apt/state"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Install-Recommends "false"; Acquire::Languages "none"; APT::Sandbox::User "";
CONF
export APT_CONFIG=$apt/apt.conf
timeout "$limit" apt-get -qq update
timeout "$limit" apt-get -qq -y --download-only -o Debug::NoLocking=true install neovim >/dev/null
for package in "$apt"/cache/archives/*.deb; do dpkg -x "$package" "$home/root"; done
rm -r "$apt"

cat >"$home/nvim" <<SCRIPT
#!/bin/sh
root='$home/root'
export VIMRUNTIME="\$root/usr/share/nvim/runtime"
exec "\$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "\$root/usr/lib/x86_64-linux-gnu" "\$root/usr/bin/nvim" "\$@"
SCRIPT
chmod +x "$home/nvim"
is_new_enough "$home/nvim" || { echo "neovim_setup: the Neovim of $suite does not run, or is too old" >&2; exit 1; }
echo "neovim_setup: $("$home/nvim" --version | head -n 1) ($SECONDS s)"
