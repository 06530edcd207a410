# What the application tests share. To be sourced by bash, after `set -euo pipefail`.
#
# A test starts an emulator, checks an application against it, and ends with `finish`:
#
#   version openssl version
#   start_emulator tls
#   check "the name of what must work" command arguments...
#   finish
#
# P11REST_MODULE and P11REST_TOOL name another module and another command-line tool than those of target/release.
# P11REST_PYTHON names a Python with python-pkcs11 and PyKCS11, P11REST_NODE_MODULES a folder with pkcs11js and graphene-pk11,
# where they are not those of tests/setup.
# P11REST_TALLY names a file that gets a line "PASSED FAILED" at the end.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=${P11REST_MODULE:-$root/target/release/libp11rest.so}
tool=${P11REST_TOOL:-$root/target/release/p11rest}
python=${P11REST_PYTHON:-$root/target/python/bin/python}
node_modules=${P11REST_NODE_MODULES:-$root/target/node/node_modules}
tally=${P11REST_TALLY:-}
# Where tests/log_check.rs looks at the end of the suite.
logs=${P11REST_LOGS:-${CARGO_TARGET_DIR:-$root/target}/tmp/logs}
application=$(basename "$0" .sh)

# Nothing of the caller's environment reaches the module or the applications.
unset "${!P11REST_@}" "${!PKCS11_@}" OPENSSL_CONF SOFTHSM2_CONF GNUTLS_PIN
export LC_ALL=C.UTF-8 TZ=UTC

for file in "$module" "$tool"; do
    if [ ! -e "$file" ]; then
        echo "$application: $file is missing: run make first" >&2
        exit 1
    fi
done

scratch=$(mktemp -d)
# Where a test works, and the directory of the emulator.
work=$scratch/work
hsm=$scratch/hsm
mkdir "$work"
passed=0
failed=0
# What stands in front of the commands of another user: ordinary_user.
user=()
emulator=
finished=

# The PIN of the emulator's slot, and the label of its token.
pin=1234
token=securosys

# start_emulator http|tls OPTIONS...: sets P11REST_CONFIG to a configuration whose log goes to $scratch/module.log.
start_emulator() {
    local transport=() waited=0
    [ "$1" = tls ] && transport=(--tls)
    shift
    "$tool" emulate --dir "$hsm" "${transport[@]}" "$@" </dev/null >"$scratch/emulator.log" 2>&1 &
    emulator=$!
    while [ ! -e "$hsm/ready" ]; do
        if ! kill -0 "$emulator" 2>/dev/null || [ $((waited += 1)) -gt 600 ]; then
            echo "$application: the emulator does not start:" >&2
            cat "$scratch/emulator.log" >&2
            exit 1
        fi
        sleep 0.1
    done
    export P11REST_CONFIG=$hsm/p11rest.toml
    export P11REST_LOG_TARGET=$scratch/module.log P11REST_LOG_LEVEL=trace
    local name
    for name in rsa-2048 rsa-cert ec-p256 ec-cert ed25519; do
        # Of several vendors each has its own.
        [ -e "$hsm/keys/$name.pem" ] || continue
        openssl pkey -in "$hsm/keys/$name.pem" -pubout -out "$work/$name.pub"
    done
}

# configure NAME < LINES: a configuration beside the emulator's, with LINES for its slot after it.
configure() {
    { cat "$hsm/p11rest.toml" && echo && cat; } >"$hsm/$1.toml"
    chmod 600 "$hsm/$1.toml"
    export P11REST_CONFIG=$hsm/$1.toml
}

# configure_for_engine PAGE [LINES]: the variables that docs/applications/PAGE.md exports for the slot, since libp11 0.4.12 gives up
# on a token that shows an Ed25519 key; LINES for the catalog go into a file.
configure_for_engine() {
    eval "$(grep '^export P11REST_SLOT_0_' "$root/docs/applications/$1.md")"
    : "${P11REST_SLOT_0_CATALOG_HIDE_TYPES:?is what the page exports}"
    [ -z "${2:-}" ] || configure engine <<<$'[slot.catalog]\n'"$2"
}

# ordinary_user: from now on `"${user[@]}" COMMAND...`, and what `follow` does, is not root, for whom p11-kit reads no files of a
# user. That user owns what the test has made so far, and has the home $home with the configuration in its usual place.
ordinary_user() {
    home=$scratch/home
    mkdir -p "$home/.config"
    ln -s "$hsm" "$home/.config/p11rest"
    unset P11REST_CONFIG
    # All of it may lie where only root looks.
    cp "$module" "$home/libp11rest.so"
    cp -r "$F" "$home/ready"
    M=$home/libp11rest.so F=$home/ready
    user=(env HOME="$home" XDG_RUNTIME_DIR="$home")
    if [ "$(id -u)" -eq 0 ]; then
        chown -R 65534:65534 "$scratch"
        user=(setpriv --reuid 65534 --regid 65534 --clear-groups -- "${user[@]}")
    fi
}

# version COMMAND...: shows what is tested: of what the command says, the first line with a version in it.
version() {
    local output line
    output=$("$@" 2>&1)
    line=$(grep -m 1 '[0-9]\.[0-9]' <<<"$output")
    echo "        with $line"
}

# packaged NAME: a package of Debian and its version, for what does not tell its version itself.
packaged() {
    dpkg-query -W -f '${Package} ${Version}\n' "$1" 2>/dev/null || echo "$1 0.0, not of a package"
}

# at_least VERSION FOUND
at_least() {
    echo "found: $2"
    printf '%s\n' "$1" "$2" | sort -V -C
}

# check NAME COMMAND...: the command must succeed; what it printed is shown if it does not. Functions run with errexit.
check() {
    local name=$1 status
    shift
    set +e
    (
        set -e
        "$@"
    ) >"$scratch/output" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $application: $name"
    else
        failed=$((failed + 1))
        echo "FAILED  $application: $name (status $status)"
        sed 's/^/            /' "$scratch/output"
    fi
}

# refused PATTERN COMMAND...: the command must fail, and say PATTERN (a basic regular expression).
refused() {
    local pattern=$1 status=0 output
    shift
    output=$("$@" 2>&1) || status=$?
    printf '%s\n' "$output"
    [ "$status" -ne 0 ] && grep -q -e "$pattern" <<<"$output"
}

# says PATTERN COMMAND...: the command must succeed, and say PATTERN (a basic regular expression).
says() {
    local pattern=$1 output
    shift
    output=$("$@" 2>&1) || { printf '%s\n' "$output"; return 1; }
    printf '%s\n' "$output"
    grep -q -e "$pattern" <<<"$output"
}

# On the pages in docs/applications: the module, and the folder of ready files.
export M=$module F=$root/pkcs11-test-config

# section PAGE HEADING [LANGUAGE]: what is in docs/applications/PAGE.md under that heading, in blocks marked `sh` or LANGUAGE; the
# emulator of the pages is this one.
section() {
    awk -v heading="$2" -v mark="\`\`\`${3:-sh}" -v hsm="$hsm" '
        /^```/ { fenced = !fenced; wanted = fenced && inside && $0 == mark; next }
        !fenced && sub(/^#+ /, "") { inside = $0 == heading; next }
        wanted { gsub("/tmp/hsm", hsm); print; some = 1 }
        END { if (!some) print "echo no commands under that heading; false" }' "$root/docs/applications/$1.md"
}

# follow PAGE HEADING: does what the page says, in the current folder. Each of the commands must succeed.
follow() {
    "${user[@]}" bash -euo pipefail -c "$(section "$@")"
}

# The files with secrets of the emulator, or of several in folders of their own.
secret_files() {
    find "$hsm" -maxdepth 2 '(' -name '*.key' -o -name '*.password' -o -name '*.secret' ')' -print0
}

# Every call left its trace in the module's log: no panic, and none of the secrets.
log_is_clean() {
    local secret
    grep -q 'CKR_OK\|C_' "$scratch/module.log"
    if grep -i 'panic' "$scratch/module.log"; then return 1; fi
    while IFS= read -r -d '' secret; do
        case $(head -n 1 "$secret") in -----BEGIN*) continue ;; esac
        if grep -F -q -f "$secret" "$scratch/module.log"; then
            echo "the log has the content of $(basename "$secret")"
            return 1
        fi
    done < <(secret_files)
}

# keep_log: the module's log, and what must not be in it, for the check of all logs at the end of the suite.
keep_log() {
    local name=$logs/application-$application-$$ file der size
    mkdir -p "$logs"
    cp "$scratch/module.log" "$name.log"
    while IFS= read -r -d '' file; do
        if [[ $(head -n 1 "$file") != -----BEGIN* ]]; then
            write_down "$(basename "$file")" <"$file"
        elif [[ $(head -n 1 "$file") == *PRIVATE* ]]; then
            # The scalar of a curve, or the middle of an RSA key, where its private exponent is.
            der=$scratch/der
            sed '/-----/d' "$file" | base64 -d >"$der"
            size=$(wc -c <"$der")
            tail -c +$((size > 300 ? size / 2 : 37)) "$der" | head -c 28 | write_down "$(basename "$file")"
        fi
    done < <(secret_files && find "$hsm" -maxdepth 3 -path '*/keys/*.pem' -print0) >"$name.secrets"
    if [ -s "${message-}" ]; then
        head -c 64 "$message" | write_down data >>"$name.secrets"
    fi
}

# write_down KIND < SECRET: a line for tests/log_check.rs.
write_down() {
    printf '%s %s\n' "$1" "$(head -c 64 | tr -d '\n' | od -An -v -tx1 | tr -d ' \n')"
}

# Sums up. The last line of a test; exit status 1 if a check failed or there was none.
finish() {
    check "no panic and no secret in the module's log" log_is_clean
    keep_log
    finished=yes
    echo "$application: passed $passed, failed $failed"
    [ -z "$tally" ] || echo "$passed $failed" >>"$tally"
    [ "$failed" -eq 0 ]
}

clean_up() {
    local status=$?
    # The emulator, and the servers of a test.
    kill $(jobs -p) 2>/dev/null || true
    [ -z "$emulator" ] || wait "$emulator" 2>/dev/null || true
    if [ -z "$finished" ]; then
        echo "FAILED  $application: stopped half-way with status $status"
        [ -z "$tally" ] || echo "$passed $((failed + 1))" >>"$tally"
        [ "$status" -ne 0 ] || status=1
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
