#!/usr/bin/env bash
# A real Emacs with lsp-mode 10 for tests/editors/test_emacs.py, and Helix to look at (editor-clients/helix.md).
#
#   tests/editors/emacs_setup.sh [--helix]
#
# For Debian, since lsp-mode 10 comes from Debian testing: with what it needs, down to
# the C library, into build/emacs (git-ignored). The system stays as it is; root is not needed. Elsewhere set
# TEST_EMACS and TEST_EMACS_LISP, see tests/editors/emacs_session.py.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
home=$root/build/emacs
suite=testing
packages="emacs-nox elpa-lsp-mode"
[ "${1:-}" = --helix ] && packages="$packages hx"
began=$SECONDS

fail() { echo "emacs_setup: $1" >&2; exit 1; }

made="$packages, by $(cksum <"$0")"
[ "$(cat "$home/installed" 2>/dev/null)" = "$made" ] && { echo "emacs_setup: nothing to do"; exit 0; }
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "needs apt-get and dpkg"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1) || true
[ -n "$mirror" ] || fail "apt-get knows of no mirror"

rm -rf "$home"
mkdir -p "$home"/apt/state/lists/partial "$home"/apt/cache/archives/partial "$home/root"
echo "deb $mirror $suite main" >"$home/apt/sources.list"
: >"$home/apt/status"
cat >"$home/apt/apt.conf" <<END
Dir::Etc::sourcelist "$home/apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::State "$home/apt/state"; Dir::State::status "$home/apt/status"; Dir::Cache "$home/apt/cache";
APT::Install-Recommends "false"; Acquire::Languages "none"; APT::Sandbox::User "";
END
export APT_CONFIG=$home/apt/apt.conf
timeout 180 apt-get -qq update || fail "the list of packages could not be fetched"
# shellcheck disable=SC2086
timeout 420 apt-get -qq -y --download-only -o Debug::NoLocking=true install $packages || fail "the packages could not be fetched"
for package in "$home"/apt/cache/archives/*.deb; do
  dpkg -x "$package" "$home/root"
done
rm -rf "$home/apt"

launcher() { # launcher NAME PROGRAM: a script that runs PROGRAM of build/emacs/root with the libraries beside it
  cat >"$home/$1" <<END
#!/bin/sh
# Made by tests/editors/emacs_setup.sh.
root=$home/root
END
  cat >>"$home/$1"
  cat >>"$home/$1" <<END
loader=\$(ls "\$root"/usr/lib*/ld-linux* "\$root"/usr/lib/*/ld-linux* 2>/dev/null | head -n 1)
exec "\$loader" --library-path "\$(echo "\$root"/usr/lib/*-linux-gnu)" "\$root/usr/bin/$2" "\$@"
END
  chmod +x "$home/$1"
}

# Emacs looks for its files where Debian would have put them; the compiler for native code does not come along.
launcher emacs emacs-nox <<'END'
at() { echo "$root"/usr/$1; }
EMACSDATA=$(at 'share/emacs/[0-9]*/etc') EMACSPATH=$(at 'libexec/emacs/*/*-linux-gnu')
EMACSLOADPATH=$(at 'share/emacs/site-lisp/site') # what comes next are several folders
EMACSLOADPATH=$EMACSLOADPATH:$(at 'share/emacs/site-lisp/elpa-src/*' | tr ' ' ':'):$(at 'share/emacs/[0-9]*/lisp')
export EMACSDATA EMACSPATH EMACSLOADPATH
set -- --dump-file="$(at 'libexec/emacs/*/*-linux-gnu/*.pdmp')" "$@"
END
[ -e "$home/root/usr/bin/hx" ] && launcher hx hx <<'END'
export HELIX_RUNTIME="$root/usr/lib/hx/runtime"
END

no_native='(setq native-comp-enable-subr-trampolines nil native-comp-jit-compilation nil)'
lisp=$home/root/usr/share/emacs/site-lisp
mkdir "$lisp/site"
cat >"$lisp/site/site-start.el" <<END
$no_native
(mapc #'load (file-expand-wildcards "$lisp/elpa-src/*/*-autoloads.el")) ; as for packages of package.el
END
compile="(progn $no_native (setq byte-compile-warnings nil) (batch-byte-compile))"
timeout 420 "$home/emacs" -Q --batch --eval "$compile" "$lisp"/elpa-src/*/*.el >"$home/compile.log" 2>&1 \
  || fail "lsp-mode could not be compiled: see build/emacs/compile.log"

echo "$made" >"$home/installed"
echo "emacs_setup: ready in $((SECONDS - began)) s"
