# Shared by the scripts of this folder: where the tree is, and how what is missing gets installed.
# Sourced by bash, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A crashed process must not leave a helper behind that holds its output open.
export SWIFT_BACKTRACE=enable=no

complain() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

# Installs the Debian packages that are named and not there yet. Says nothing when there is nothing to do. On other
# systems what is needed must be there already.
need_packages() {
    command -v apt-get >/dev/null || return 0
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            complain "as root, install: ${missing[*]}"
            return 1
        }
        as_root=(sudo)
    fi
    complain "installing ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
    "${apt[@]}" update >/dev/null
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# What the build needs. The compiler itself is not a Debian package.
need_build_tools() {
    need_packages liburing-dev libxxhash-dev pkg-config
    command -v swift >/dev/null || {
        complain "Swift 6.3 or later is needed: https://www.swift.org/install/linux"
        return 1
    }
}

# Builds one program in release mode, quietly, and prints its path.
build_program() {
    local log status=0
    log=$(mktemp)
    swift build --package-path "$root" -c release --product "$1" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    [ "$status" -eq 0 ] || return "$status"
    echo "$(swift build --package-path "$root" -c release --show-bin-path)/$1"
}
