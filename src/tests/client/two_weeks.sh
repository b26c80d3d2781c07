#!/usr/bin/env bash
# Two weeks of an administrator of detectors, with `headwater`'s client only, and git, sed and cmp for files.
#
#   two_weeks.sh FOLDER DEV DATA
#
# FOLDER is empty; DEV is that of a fresh `headwater dev --nodes 6 --check 'test ! -e FOLDER/reject'`, whose agents run; DATA has
# detector configurations. `headwater` is in PATH, and its variables are set. At the end it prints what was typed for which task.
set -euo pipefail

here=$1 dev=$2 source=$3
fleet=fleet                           # the Git folder, made by this script
acct=$here/acct.tsv                   # what was typed: task, c(ommand) or m(anifest), bytes
reject=$here/reject                   # while this file is there, the nodes' check rejects every tree
cd "$here"
export GIT_AUTHOR_NAME=ada GIT_AUTHOR_EMAIL=ada@facility GIT_COMMITTER_NAME=ada GIT_COMMITTER_EMAIL=ada@facility
mkdir "$fleet"; : > "$acct"

# --- small helpers -----------------------------------------------------------------------------------------------
task=none
day()  { task=$2; printf '\n=== day %s: %s\n' "$1" "$2"; }
die()  { echo "two_weeks: $*" >&2; exit 1; }
# Runs one headwater command, shows it, and counts what was typed.
hw()   { local line="headwater $*"; printf '%s\tc\t%s\n' "$task" $(( ${#line} + 1 )) >> "$acct"; echo "\$ $line" >&2; headwater "$@"; }
# The same where an exit code other than 0 is expected (1: something differs).
exits() { local want=$1 got=0; shift; hw "$@" || got=$?; [[ $got == "$want" ]] || die "exit $got, not $want: headwater $*"; }
# Commits everything and counts the lines that were added by hand: of YAML at first, of everything later.
commit() {
    git -C "$fleet" add -A
    local bytes=0 line
    while IFS= read -r line; do [[ $line == +* && $line != +++* ]] && bytes=$(( bytes + ${#line} )); done \
        < <(git -C "$fleet" diff --cached -U0 -M -- "${2:-.}")
    printf '%s\tm\t%s\n' "$task" "$bytes" >> "$acct"
    git -C "$fleet" commit -qm "$1"
}
# The id of the last request about something: `history` prints it, newest last.
last() { hw history "$1" --last 1 | sed -n 's/^request \([^ ]*\).*/\1/p'; }
files() { echo "$dev/nodes/$1/current/files/daq"; }
on_disk() { cmp "$2" "$(files "$1")/${3:-${2##*/}}" || die "$1 does not have $2"; }   # node, file in Git, name

# Polls every 20 ms, until $here/stop is there: names on both nodes each time, and every byte of one of them in turn.
#   watch GIT_FOLDER NODE NODE  ->  $here/watch.txt
watch_tree() {
    local base=$1; shift; local nodes=("$@") polls=0 missing=0 changed=0 extra=0 switched=0 gap=0 n f d list now then next
    local want=("$base"/*); want=("${want[@]##*/}")
    local -A gen; for n in "${nodes[@]}"; do gen[$n]=$(cd -P "$dev/nodes/$n/current" && pwd); done
    local begun=${EPOCHREALTIME/./}; exec 9<> <(:); then=${EPOCHREALTIME/./}; next=$then
    while [[ ! -e $here/stop ]]; do
        for n in "${nodes[@]}"; do
            d=$dev/nodes/$n/current/files/daq
            for f in "${want[@]}"; do [[ -f $d/$f ]] || missing=$(( missing + 1 )); done
            list=("$d"/*); [[ ${#list[@]} -le ${#want[@]} ]] || extra=$(( extra + 1 ))
            [[ $dev/nodes/$n/current -ef ${gen[$n]} ]] || { switched=$(( switched + 1 )); gen[$n]=$(cd -P "$dev/nodes/$n/current" && pwd); }
        done
        d=$dev/nodes/${nodes[polls % ${#nodes[@]}]}/current/files/daq
        for f in "${want[@]}"; do cmp -s "$base/$f" "$d/$f" || changed=$(( changed + 1 )); done
        polls=$(( polls + 1 )); now=${EPOCHREALTIME/./}
        (( now - then > gap )) && gap=$(( now - then )); then=$now; next=$(( next + 20000 ))
        (( next > now )) || next=$now
        read -rt "$(printf '0.%06d' $(( next - now < 999999 ? next - now : 999999 )))" -u 9 || true
    done
    echo "polls=$polls missing=$missing changed=$changed extra=$extra switches_of_generation=$switched mean_gap_us=$(( (then - begun) / polls )) longest_gap_us=$gap" > "$here/watch.txt"
}
watch_start() { rm -f "$here/stop"; watch_tree "$@" & watcher=$!; sleep 1; }
watch_stop()  { sleep 2; : > "$here/stop"; wait "$watcher"; rm -f "$here/stop"; echo "WATCH $task: $(<"$here/watch.txt")"; }

# --- day 1: the configurations go into Git, the nodes get labels, and three bundles are applied --------------------
day 1 "label nodes"
hw label nodes node-3 node-5 instrument=freia --reason 'rack plan 7'
hw label nodes node-2 node-4 instrument=dream --reason 'rack plan 7'
hw get nodes -l 'instrument in (loki,dream,freia)'

day 1 "apply configurations"
git -C "$fleet" init -q -b main
for i in loki dream freia; do
    mkdir -p "$fleet/$i/files"
    for f in "$source/$i"-*.json; do name=${f##*/}; cp "$f" "$fleet/$i/files/${name#"$i"-}"; done
    cp "$source/kafka.json" "$fleet/$i/files/"
    chmod -R u+w "$fleet/$i"
    # One bundle for each instrument; a tree makes one document of each file: prod-loki-LokiFull_json and so on.
    cat > "$fleet/$i/fleet.yaml" <<Y
kind: bundle
id: prod-$i
defaults: {priority: 100, target: {match_labels: {instrument: $i}}}
---
kind: tree
id: prod-$i
from: files
path: daq
Y
done
commit "all detectors" '*.yaml'
for i in loki dream freia; do
    exits 1 plan -f "$fleet/$i"
    hw apply -f "$fleet/$i" --yes --wait
done
for f in "$fleet"/loki/files/*; do on_disk node-1 "$f"; on_disk node-6 "$f"; done
for f in "$fleet"/dream/files/*; do on_disk node-2 "$f"; on_disk node-4 "$f"; done
for f in "$fleet"/freia/files/*; do on_disk node-3 "$f"; on_disk node-5 "$f"; done
exits 0 diff node-1 node-6

# --- day 2: one value for one site only: a layer of a higher priority at the same path ------------------------------
day 2 "one value, one site"
mkdir -p "$fleet/loki/lund"
sed 's/"queue.buffering.max.messages" : "50000"/"queue.buffering.max.messages" : "80000"/' "$fleet/loki/files/kafka.json" > "$fleet/loki/lund/kafka.json"
cat >> "$fleet/loki/fleet.yaml" <<'Y'
---
kind: document
id: prod-loki-kafka-lund
path: daq/kafka.json
file: lund/kafka.json
priority: 200
target: {match_labels: {instrument: loki, site: lund}}
Y
commit "loki: Lund buffers more" '*.yaml'
printf '%s\tm\t%s\n' "$task" 5 >> "$acct"                  # and the value in the copied file
exits 1 plan -f "$fleet/loki"
exits 1 diff -f "$fleet/loki"
hw apply -f "$fleet/loki" --yes --wait                       # the reason: bundle and Git commit
on_disk node-1 "$fleet/loki/lund/kafka.json"
on_disk node-6 "$fleet/loki/files/kafka.json"
hw get file node-1 daq/kafka.json | cmp - "$fleet/loki/lund/kafka.json"
day 2 "compare two nodes"
exits 1 diff node-1 node-6
hw why node node-1 daq/kafka.json

# --- day 3: yesterday's change was wrong ---------------------------------------------------------------------------
day 3 "history and undo"
hw history bundle/prod-loki --last 3
commit_id=$(git -C "$fleet" rev-parse --short=12 HEAD)
[[ $(hw history document/prod-loki-kafka-lund --diff) == *"commit $commit_id"* ]] || die "the reason does not name the Git commit"
id=$(last document/prod-loki-kafka-lund)
hw undo "$id" --yes
hw wait nodes --command "$id"
hw wait nodes -l instrument=loki
on_disk node-1 "$fleet/loki/files/kafka.json"
exits 1 diff -f "$fleet/loki"                                 # Git still says otherwise
git -C "$fleet" revert --no-edit HEAD > "$here/git.log"
exits 0 diff -f "$fleet/loki" --prune                         # and now no more

# --- days 4 to 8: a golden state, several changes by several people, and back ----------------------------------------
day 4 "mark golden"
hw mark golden --reason 'before run 1234'
git -C "$fleet" tag golden

day 5 "several changes"
sed -i 's/"Resolution" : 512/"Resolution" : 256/' "$fleet/loki/files/LokiFull.json"
sed -i 's/"MaxPulseTimeDiffNS" : 5000000000/"MaxPulseTimeDiffNS" : 4000000000/' "$fleet/dream/files/hr.json"
cat > "$fleet/freia/notes.yaml" <<'Y'
kind: document
id: prod-freia-notes
path: daq/notes.txt
content: "run 1234: thresholds under review\n"
Y
commit "changes for run 1234"
for i in loki dream freia; do hw apply -f "$fleet/$i" --yes --wait; done
hw label nodes node-4 ring=1 instrument=spare --yes           # takes node-4 out of DREAM: all its files go
hw wait nodes --all
on_disk node-1 "$fleet/loki/files/LokiFull.json"
[[ ! -e $(files node-4)/hr.json ]] || die "node-4 still has files"

day 8 "revert to golden"
exits 1 diff --from mark:golden
hw revert --to mark:golden --yes
hw wait nodes --all
exits 0 diff --from mark:golden
git -C "$fleet" revert --no-edit HEAD > "$here/git.log"       # Git goes back as well
git -C "$fleet" diff --quiet golden HEAD
for i in loki dream freia; do exits 0 diff -f "$fleet/$i" --prune; done
for f in "$fleet"/dream/files/*; do on_disk node-4 "$f"; done

# --- day 9: the bundle of LOKI gets another name; its documents keep theirs -------------------------------------------
day 9 "rename a bundle"
sed -i '1,3s/^id: prod-loki$/id: beam-loki/' "$fleet/loki/fleet.yaml"
commit "loki: the bundle is called beam-loki"
exits 4 plan -f "$fleet/loki"                                 # owned_elsewhere: it has to be said
exits 1 diff -f "$fleet/loki" --take
watch_start "$fleet/loki/files" node-1 node-6
hw apply -f "$fleet/loki" --take --yes --wait
hw delete bundle/prod-loki --yes --reason 'renamed to beam-loki'
hw wait nodes --all
watch_stop
sed -n '/ missing=0 changed=0 extra=0 /!q1' "$here/watch.txt" || die "files moved during the rename"
exits 0 diff -f "$fleet/loki" --prune
hw get bundles

# --- day 10: harder: FREIA's bundle AND the ids of its documents get another name --------------------------------------
day 10 "rename bundle and ids"
sed -i 's/^id: prod-freia$/id: beam-freia/' "$fleet/freia/fleet.yaml"
commit "freia: bundle and documents are called beam-freia"
watch_start "$fleet/freia/files" node-3 node-5
exits 1 plan -f "$fleet/freia"
hw apply -f "$fleet/freia" --yes --wait                       # the new ones beside the old ones
printf 'kind: bundle\nid: prod-freia\n' > empty.yaml  # and the old bundle loses all that it has
printf '%s\tm\t%s\n' "$task" 28 >> "$acct"
hw apply -f empty.yaml --prune --empty --prune-max 9 --yes --wait
hw delete bundle/prod-freia --yes
hw wait nodes --all
watch_stop
sed -n '/ missing=0 changed=0 extra=0 /!q1' "$here/watch.txt" || die "files moved during the rename of ids"
hw get documents --bundle beam-freia
exits 0 diff -f "$fleet/freia" --prune

# --- day 11: a file that is gone from Git. The watch must see it go: it proves that the watch sees anything -------------
day 11 "prune one document"
rm -rf "$here/dream.before"; mkdir "$here/dream.before"; cp "$fleet"/dream/files/* "$here/dream.before/"
git -C "$fleet" rm -q dream/files/MagicInst.json
commit "dream: MAGIC is gone"
exits 0 plan -f "$fleet/dream"                                # without --prune nothing would change
exits 1 diff -f "$fleet/dream" --prune
watch_start "$here/dream.before" node-2 node-4
hw apply -f "$fleet/dream" --prune --yes --wait
watch_stop
sed -n '/ missing=0 /q1' "$here/watch.txt" || die "the watch is blind"
[[ ! -e $(files node-2)/MagicInst.json ]] || die "still there"
rm -r "$here/dream.before"

# --- day 12: a full disk makes the check of the nodes fail; later they try again --------------------------------------
day 12 "retry nodes"
: > "$reject"
sed -i 's/"MaxPulseTimeDiffNS" : 5000000000/"MaxPulseTimeDiffNS" : 4500000000/' "$fleet/dream/files/hr.json"
commit "dream: shorter pulses"
exits 1 apply -f "$fleet/dream" --yes --wait=30s
hw get nodes --state failed
hw get nodes -l instrument=dream
rm -f "$reject"
hw retry node-2 node-4 --reason 'disk was full'
hw wait nodes -l instrument=dream --timeout 60s
on_disk node-2 "$fleet/dream/files/hr.json"; on_disk node-4 "$fleet/dream/files/hr.json"

# --- day 13: a node leaves ---------------------------------------------------------------------------------------------
day 13 "retire a node"
hw retire node-5 --yes --reason 'rack 5 is dismantled'
hw get node/node-5 -o yaml
for (( i = 0; i < 100; i++ )); do [[ -e $(files node-5)/kafka.json ]] || break; sleep 0.1; done
[[ ! -e $(files node-5)/kafka.json ]] || die "node-5 keeps its files"

# --- day 14: all is as Git says ------------------------------------------------------------------------------------------
day 14 "audit"
for i in loki dream freia; do exits 0 diff -f "$fleet/$i" --prune; done
hw wait nodes --all
hw get bundles; hw get nodes; hw get fleet

# What was typed, per task.
echo; printf '%-24s %9s %13s %15s\n' TASK COMMANDS 'BYTES TYPED' 'MANIFEST BYTES'
declare -A c b m; order=()
while IFS=$'\t' read -r t k n; do
    [[ -v c[$t] ]] || { order+=("$t"); c[$t]=0 b[$t]=0 m[$t]=0; }
    if [[ $k == c ]]; then c[$t]=$(( c[$t] + 1 )); b[$t]=$(( b[$t] + n )); else m[$t]=$(( m[$t] + n )); fi
done < "$acct"
for t in "${order[@]}"; do printf '%-24s %9s %13s %15s\n' "$t" "${c[$t]}" "${b[$t]}" "${m[$t]}"; done
echo "finished in $SECONDS s"
