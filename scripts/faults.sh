#!/usr/bin/env bash
# The long form of the faults: the model test of the appender with 50,000 sequences, rollouts with 100,000 histories, claims with
# 10,000, an export with a flipped bit in each of its bytes, then every scenario with several seeds, one at a time, faults that last
# as long as in earnest. Prints a table of what users saw, and leaves every figure in a file.
#
# Always: a scenario that could not run here is named. FAULT_SEEDS="7 8" plays other seeds than 1, 2 and 3;
# FAULT_ONLY=slot plays only what has that in its name.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=${FAULT_SEEDS:-1 2 3}
only=${FAULT_ONLY:-}
export FAULT_FORM=long
FAULT_TABLE=${FAULT_TABLE:-$PWD/${CARGO_TARGET_DIR:-target}/faults.tsv}
export FAULT_TABLE
output=$FAULT_TABLE.log
mkdir -p "$(dirname "$FAULT_TABLE")"
: >"$FAULT_TABLE"
: >"$output"

failed=0
if [ -z "$only" ]; then
    printf '== the laws of appending, on a store in memory\n'
    cargo test --locked --quiet -p headwater-store append_laws 2>&1 | tee -a "$output" | grep -E 'panicked|^test result' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    printf '== the laws of rollouts, on a hundred thousand histories, and of claims\n'
    cargo test --locked --quiet --release -p headwater-projections --test laws -- rollouts:: claims:: 2>&1 |
        tee -a "$output" | grep -E 'panicked|^test result' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    printf '== an export with a flipped bit in each of its bytes\n'
    cargo test --locked --quiet -p headwater-replay --bin headwater-replay a_flipped_bit 2>&1 |
        tee -a "$output" | grep -E 'panicked|^test result' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
fi
for seed in $seeds; do
    printf '== seed %s\n' "$seed"
    # As one process, since its output says what did not run.
    FAULT_SEED=$seed cargo test --locked --quiet --test faults -- --test-threads=1 --nocapture $only 2>&1 |
        tee -a "$output" | grep -E 'did not run|panicked|FAILED|^test result|come back|had it' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
done

# summary — of each scenario the median and the worst of each span, in seconds.
summary() {
    sort "$FAULT_TABLE" | awk -F'\t' '
        function span(column,   i, n, values) {
            n = count
            for (i = 1; i <= n; i++) values[i] = rows[i, column]
            asort_small(values, n)
            return sprintf("%.1f / %.1f", values[int((n + 1) / 2)], values[n])
        }
        function asort_small(values, n,   i, j, swap) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
                    swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
                }
        }
        function tell() {
            if (count) printf "| %s | %d | %s | %s | %s | %s |\n", name, count, span(5), span(6), span(7), span(8)
        }
        $1 != name { tell(); name = $1; count = 0 }
        { count++; for (i = 5; i <= 8; i++) rows[count, i] = $i + 0 }
        END { tell() }'
}

printf '\n| scenario | runs | no request accepted, s | nothing published, s | no node moved, s | at work again, s |\n'
printf '|---|---|---|---|---|---|\n'
summary
printf '\nThe median and the worst of %s seeds. Every figure: %s\n' "$(wc -w <<<"$seeds")" "$FAULT_TABLE"
exit "$failed"
