#!/usr/bin/env bash
# Sourced by scripts that make something from Debian's mirror once, and keep it in the cache folder.
# `keep NAME RECIPE` names its folder: $tree is what stays, $part what is being made, $log what that said. Made from another
# RECIPE, it is made anew, by the function `produce` of the script, which begins with `need_mirror` and ends with `made FOLDER`.
# All of them exit with 75 when something cannot be made although all that is needed is there, and with 77 when they are skipped.

skip() { echo "skipped: $*" >&2; exit 77; }
fail() { echo "${0##*/}: $*" >&2; exit 75; }

keep() {
  recipe=$2
  cache=$(realpath -m "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}")/refcow/$1
  case $cache in *[[:space:]]*) fail "$cache has a space in it, with which nothing can be made there: choose another XDG_CACHE_HOME" ;; esac
  # shellcheck disable=SC2034 # the script that sources this writes to it
  tree=$cache/tree part=$cache/part log=$cache/log
  # Its number; or that of its group, with a minus before it.
  maker=
  command -v flock >/dev/null || skip "no flock (util-linux)"
  mkdir -p "$cache" || fail "cannot make $cache"
  # Shared while COMMAND runs (it inherits the lock), alone while the tree is made.
  exec {lock}>"$cache/lock"
  flock --shared "$lock"
  if complete; then return; fi
  flock --exclusive "$lock"
  trap cleanup EXIT
  trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
  complete || produce
  trap - EXIT HUP INT TERM
  flock --shared "$lock"
}

# What the tree was made from is written last.
complete() { [ -e "$tree/etc/refcow-recipe" ] && [ "$(cat "$tree/etc/refcow-recipe")" = "$recipe" ]; }

made() {
  mkdir -p "$1/etc"
  echo "$recipe" >"$1/etc/refcow-recipe"
  remove "$tree"
  mv -T "$1" "$tree"
  remove "$part"
}

# Waits for what was started last: of a group of its own with `-`.
finish() {
  maker=$1$!
  local status=0
  wait "${maker#-}" || status=$?
  maker=
  return "$status"
}

cleanup() {
  [ -z "$maker" ] || { kill -KILL -- "$maker"; wait "${maker#-}"; } 2>/dev/null || true
  # What is still being written into now is removed by the next run.
  remove "$part" 2>/dev/null || true
}

# Never through a mount into somebody's files or devices: these scripts make none that outlives them, but a person may have.
remove() {
  if grep -qF " ${1// /\\040}/" /proc/self/mountinfo; then fail "something is mounted in $1; unmount it first"; fi
  rm -rf --one-file-system "$1"
}

# A mirror that apt itself uses, so that whatever lets apt through lets others through.
mirror() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian|Debian|//p' | sed -n 1p || true
}

# Sets $uri to one that has this suite, and makes $part.
need_mirror() {
  command -v apt-get >/dev/null || skip "it is made from apt's mirror, and there is no apt"
  uri=$(mirror)
  # Where packages were never listed (a fresh container), apt does not know yet whose they are.
  [ -n "$uri" ] || { apt-get update -qq >/dev/null 2>&1 || true; uri=$(mirror); }
  [ -n "$uri" ] || skip "apt knows no Debian mirror, or none that answers"
  remove "$part"
  mkdir "$part"
  timeout 60 /usr/lib/apt/apt-helper -o Acquire::Retries=0 download-file "${uri}dists/$1/InRelease" "$part/InRelease" \
    >/dev/null 2>&1 || skip "apt's Debian mirror does not answer, or has no $1"
}
