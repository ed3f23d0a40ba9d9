# Sourced by the other scripts: says what it does, installs what a machine lacks, finds free
# ports, keeps encoders running. Holds no step that only one script takes.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }
warn() { printf 'headwater: %s\n' "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# need_commands COMMAND:DEBIAN-PACKAGE...: installs the packages whose command is missing.
need_commands() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# install_packages PACKAGE...
install_packages() {
    command -v apt-get >/dev/null ||
        die "missing: $*; install them with this system's package tool, then run again"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "missing: $*; as root: apt-get install $*"
        root=(sudo)
    fi
    say "installing: $*"
    "${root[@]}" apt-get update -qq >/dev/null || die "apt-get update failed"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "$@" >/dev/null ||
        die "apt-get could not install: $*"
}

# One more real encoder; its test reports that it was skipped where it is not to be had.
need_gstreamer() {
    gst-inspect-1.0 --exists curlhttpsink 2>/dev/null && return 0
    (install_packages gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-bad) ||
        warn "GStreamer cannot be installed: no test with it"
}

# A linker and cargo; the toolchain's components are rustup's or the distribution's to bring.
need_rust() {
    need_commands cc:build-essential
    command -v cargo >/dev/null ||
        die "cargo is missing: install Rust 1.91 or later (rustup, or the distribution's package)"
}

need_rust_components() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        local name=${component/fmt/rustfmt}
        say "installing: $name"
        rustup component add "$name" >/dev/null || die "missing: the Rust component $name"
    done
}

need_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return 0
    say "installing: cargo-deny (compiled once, some minutes)"
    cargo install --quiet --locked --no-default-features cargo-deny || die "cargo could not install cargo-deny"
}

# The players' packages, exactly as locked; installed again only where the lock file is newer.
need_players() {
    need_commands node:nodejs npm:npm chromium:chromium ffmpeg:ffmpeg
    local stamp=$ROOT/tests/players/node_modules/.package-lock.json
    [ -f "$stamp" ] && [ ! "$ROOT/tests/players/package-lock.json" -nt "$stamp" ] && return 0
    say "installing: the web players (npm ci)"
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --prefix "$ROOT/tests/players" ||
        die "npm could not install tests/players/package-lock.json"
    touch "$stamp"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port PORT: the first free port from PORT on.
free_port() {
    local port=$1
    until port_is_free "$port"; do
        port=$((port + 1))
        [ "$port" -lt 65536 ] || die "no free port from $1 on"
    done
    printf '%s' "$port"
}

# keep NAME COMMAND...: runs the command, and again one second after each end, until TERM.
# To be started in the background. What each run says on standard error goes to NAME.log.
keep() {
    local name=$1 child=
    shift
    # KILL: an encoder that is asked to end would first push the rest of its segment.
    trap '[ -z "$child" ] || { kill -KILL "$child"; wait; } 2>/dev/null; exit 0' TERM INT
    while :; do
        "$@" 2>>"$name.log" >/dev/null &
        child=$!
        wait "$child" 2>/dev/null || true
        say "$(basename "$name") ended; starting it again"
        sleep 1 &
        child=$!
        wait "$child" || true
    done
}

# stop_all PID...: TERM, then KILL for what is left after five seconds.
stop_all() {
    [ $# -gt 0 ] || return 0
    local pid tenth
    kill "$@" 2>/dev/null
    for tenth in {1..50}; do
        kill -0 "$@" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "$@"; do
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    return 0
}
