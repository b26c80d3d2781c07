#!/usr/bin/env bash
# Everything that has to hold before a change is taken: format, lints, docs, advisories and the whole suite.
#
# Always: every step that can run here does, also after one failed; the end names what failed and what did not
# run, and why, below the ten slowest tests. Licences are checked by the suite itself (src/tests/laws/dependencies.rs),
# so they always are.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
skipped=()
# Gets a line from each test that can't run here.
HEADWATER_TEST_NOT_RUN=$(mktemp)
export HEADWATER_TEST_NOT_RUN
suite_dir=
trap 'rm -f "$HEADWATER_TEST_NOT_RUN"; [ -z "$suite_dir" ] || rm -rf "$suite_dir"' EXIT

# step NAME COMMAND…
step() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" || failed+=("$name")
}

skip() {
    printf '\n== %s: did not run: %s\n' "$1" "$2"
    skipped+=("$1: $2")
}

# has SUBCOMMAND — whether cargo knows it.
has() { cargo "$1" --version >/dev/null 2>&1; }

format() {
    if has fmt; then step format cargo fmt --all --check; else
        skip format "rustfmt is not installed (rustup component add rustfmt)"
    fi
}

lints() {
    if has clippy; then step lints cargo clippy --locked --workspace --all-targets -- -D warnings; else
        skip lints "clippy is not installed (rustup component add clippy)"
    fi
}

docs() {
    RUSTDOCFLAGS="-D warnings" step docs cargo doc --locked --workspace --no-deps --quiet
}

# The database of advisories is never fetched here, so that the same checkout always answers the same.
advisories() {
    local home=${CARGO_HOME:-$HOME/.cargo}
    if has audit && [ -d "$home/advisory-db" ]; then
        step advisories cargo audit --no-fetch --stale
    elif has deny && [ -n "$(ls -A "$home/advisory-dbs" 2>/dev/null)" ]; then
        step advisories cargo deny --offline check advisories
    else
        skip advisories "neither cargo-audit nor cargo-deny is here with a database of its own (the suite checks the few it knows by name)"
    fi
}

# slowest REPORT — the ten tests that took longest, and all of them together.
slowest() {
    [ -f "$1" ] || return 0
    printf '\n== the ten slowest tests, in seconds\n'
    local tests
    tests=$(sed -n 's/.*<testcase name="\([^"]*\)" classname="\([^"]*\)".* time="\([^"]*\)".*/\3 \2 \1/p' "$1")
    sort -rn <<<"$tests" | head -10 | awk '{ printf "%8.1f  %s %s\n", $1, $2, $3 }'
    awk '{ sum += $1 } END { printf "%8.1f  all %d of them, added up\n", sum, NR }' <<<"$tests"
}

# in_memory — lets the tests have their folders in memory, if there is plenty. Each copies a PostgreSQL cluster of a thousand files and
# removes it again, and ext4 spends a fifth of the processors on finding inodes that were not removed just now. `make faults` is on disk.
in_memory() {
    local memory=/dev/shm least_kib=$((6 * 1024 * 1024)) free_kib available_kib
    [ -z "${TMPDIR:-}" ] && [ -w "$memory" ] || return 0
    free_kib=$(df --output=avail "$memory" | tail -1)
    available_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
    if [ "$free_kib" -gt "$least_kib" ] && [ "$available_kib" -gt $((2 * least_kib)) ]; then
        suite_dir=$(mktemp -d "$memory/headwater-suite.XXXXXX")
        chmod 755 "$suite_dir"
        export TMPDIR=$suite_dir
        printf '\nThe tests have their folders in memory: %s.\n' "$TMPDIR"
    fi
}

# examples_in_docs — the files with a block of code in a documentation comment that is not called `text`.
examples_in_docs() {
    find . -name '*.rs' -not -path './target/*' -not -path './.tools/*' -print0 | xargs -0 awk '
        FNR == 1 { inside = 0 }
        /^ *\/\/[\/!] ```/ { if (!inside && $0 !~ /```text/) print FILENAME; inside = !inside }'
}

suite() {
    if [ -n "${HEADWATER_TEST_DATA:-}" ]; then
        printf '\nThe tests of real input read %s.\n' "$HEADWATER_TEST_DATA"
    else
        printf '\nHEADWATER_TEST_DATA is not set: the tests of real input run without real input.\n'
        skipped+=("real input: HEADWATER_TEST_DATA is not set")
    fi
    # The suite starts `headwater-edge` and `headwater-replay`, which cargo does not build for the tests of another package. All is
    # built at once: what tests need changes the features of dependencies, and these would be built twice otherwise.
    step programs cargo build --locked --workspace --bins --tests
    if has nextest; then
        local report=${CARGO_TARGET_DIR:-target}/nextest/default/junit.xml
        rm -f "$report"
        # A test of real servers waits half of its time, so two processors have four tests. How many of those start servers is
        # in .config/nextest.toml.
        local threads
        threads=$(nproc)
        [ "$threads" -ge 4 ] || threads=4
        in_memory
        step suite cargo nextest run --locked --workspace --no-fail-fast --test-threads "$threads"
        slowest "$report"
        # Looking for examples in documentation takes cargo as long as building each crate once more.
        if [ -n "$(examples_in_docs)" ]; then
            step doctests cargo test --locked --workspace --doc --quiet
        fi
    else
        step suite cargo test --locked --workspace --no-fail-fast
    fi
}

format
lints
docs
advisories
suite

printf '\n'
while read -r each; do skipped+=("$each"); done <"$HEADWATER_TEST_NOT_RUN"
for each in ${skipped[@]+"${skipped[@]}"}; do printf 'did not run  %s\n' "$each"; done
for each in ${failed[@]+"${failed[@]}"}; do printf 'FAILED       %s\n' "$each"; done
if [ ${#failed[@]} -gt 0 ]; then exit 1; fi
printf 'all that ran passed\n'
