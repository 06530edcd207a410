#!/bin/bash
# nginx with the engine of libp11, as docs/applications/nginx.md has it: the master loads the keys, two workers sign after the fork, and
# ten reloads under load lose nothing. Python, wrk and the emulator say what happened.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.bash"

version nginx -v
version packaged libengine-pkcs11-openssl
version openssl version

start_emulator tls
# One request after the other, and so one connection for each process. What hides the Ed25519 key is in the master's environment alone.
configure_for_engine nginx "width = 1"
cd "$work"
port=$(handshakes port)

# The daemon is no child of this shell.
end_nginx() {
    local status=$?
    [ ! -s nginx.pid ] || kill "$(cat nginx.pid)"
    return "$status"
}
trap 'end_nginx && clean_up || clean_up' EXIT

# Workers of root are www-data, who must get there; what others start has one user alone.
rights() {
    chmod 711 "$scratch" "$work"
    touch "$scratch/module.log"
    chgrp www-data "$scratch/module.log"
    chmod g+rw "$scratch/module.log"
    page "What the workers may read"
}

# page HEADING: the page's commands, for this emulator and this port; each handshake is a full one, and the workers have their log.
page() {
    local commands
    commands=$(section nginx "$1")
    commands=${commands//$hsm\/p11rest.toml/$P11REST_CONFIG}
    bash -euo pipefail -c "${commands//\"\$F\/nginx.conf\"/\"$work/ready.conf\"}"
}
sed -e "s/4433/$port/" -e 's/ssl_session_cache .*/ssl_session_cache off;\n        ssl_session_tickets off;/' \
    -e 's/^env P11REST_CONFIG;/&\nenv P11REST_LOG_LEVEL;\nenv P11REST_LOG_TARGET;/' "$F/nginx.conf" >ready.conf

# workers: the process ids of those that are to stay; `old` ones finish what they have and call themselves so.
workers() {
    pgrep -P "$(cat nginx.pid)" -f 'worker process$' | sort
}

# replaced OLD: two workers, none of them of before, and those of before are gone.
replaced() {
    local waited=0
    while [ "$(workers | wc -l)" -ne 2 ] || [ "$(pgrep -c -P "$(cat nginx.pid)")" -ne 2 ] ||
        workers | grep -q -x -F "$1"; do
        [ $((waited += 1)) -lt 100 ] || { pgrep -a -P "$(cat nginx.pid)"; return 1; }
        sleep 0.1
    done
}

starts() {
    page Starting
    replaced none
}

handshakes_and_signatures() {
    local before
    before=$(requests /v1/synchronousSign)
    shakes ec-p256.crt 1.2 20
    shakes ec-p256.crt 1.3 20
    [ $(($(requests /v1/synchronousSign) - before)) -eq 40 ]
}

# load SECONDS: every request is a handshake, 16 at the same time.
load() {
    wrk --threads 2 --connections 16 --duration "$1s" --timeout 5s --header 'Connection: close' "https://localhost:$port/" \
        >wrk.txt
}

# lossless COUNT: at least so many were made. wrk tells of each connection that was refused, lost, or too slow.
lossless() {
    cat wrk.txt
    [ "$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' wrk.txt)" -ge "$1" ]
    if grep -q 'Socket errors\|Non-2xx' wrk.txt; then return 1; fi
}

both_sign() {
    local signers worker
    load 1
    lossless 20
    signers=$(sed -n 's|.* \([0-9]*\)/[0-9]* C_Sign[A-Za-z]*: CKR_OK.*|\1|p' "$scratch/module.log" | sort -u)
    for worker in $(workers); do
        grep -q -x "$worker" <<<"$signers"
    done
}

reload() {
    local old
    old=$(workers)
    OPENSSL_CONF=$work/engine.cnf page Reloading
    replaced "$old"
}

ten_reloads() {
    local before
    before=$(requests /v1/synchronousSign)
    load 60 &
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        reload
    done
    pkill -INT -P $! wrk
    wait $!
    lossless 100
    [ $(($(requests /v1/synchronousSign) - before)) -ge "$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' wrk.txt)" ]
}

# none_leaked BEFORE: of the master and two workers there is one each, as before the reloads.
none_leaked() {
    local open
    open=$(connections)
    echo "connections to the HSM: $1 before, $open now"
    [ "$1" -le 3 ] && [ "$open" -le 3 ]
}

# descriptors: what the master has open. With old workers go the sockets to them.
descriptors() {
    find "/proc/$(cat nginx.pid)/fd" -mindepth 1 -printf '%l\n' | sort
}

# no_descriptor_leaked BEFORE
no_descriptor_leaked() {
    local waited=0
    while [ "$(descriptors | wc -l)" -gt "$(wc -l <<<"$1")" ]; do
        [ $((waited += 1)) -lt 50 ] || { diff <(echo "$1") <(descriptors); return 1; }
        sleep 0.1
    done
}

no_complaint() {
    cat error.log
    # Who is not root is told that.
    if grep -E '\[(alert|crit|emerg|error|warn)\]' error.log | grep -v 'the "user" directive'; then return 1; fi
}

ends() {
    local waited=0
    kill -QUIT "$(cat nginx.pid)"
    while [ -e nginx.pid ]; do
        [ $((waited += 1)) -lt 100 ] || return 1
        sleep 0.1
    done
    [ "$(connections)" -eq 0 ]
}

check "the page, \"Certificates\"" page Certificates
if [ "$(id -u)" -eq 0 ]; then
    check "the page, \"What the workers may read\"" rights
fi
check "the page, \"Starting\"" starts
check "40 handshakes, each a signature of the HSM" handshakes_and_signatures
check "both workers sign" both_sign
check "reloads" reload
before=$(connections)
for version in 1_2 1_3; do
    check "the RSA certificate, TLS $version: RSA-PSS" signature_is RSA-PSS "$version" rsa-2048.crt
    check "the EC certificate, TLS $version: ECDSA" signature_is ECDSA "$version" ec-p256.crt
done
opened=$(descriptors)
check "ten reloads under load" ten_reloads
check "no connection is leaked" none_leaked "$before"
check "no descriptor of the master is leaked" no_descriptor_leaked "$opened"
check "nginx complains of nothing" no_complaint
check "ends" ends

# With the emulator's own configuration the master asks for its eight keys at the same time, and a worker for one: so many connections
# they may have, however often the master starts anew.
as_wide_as_by_default() {
    local open
    starts
    both_sign
    for _ in 1 2 3 4 5; do
        reload
    done
    handshakes_and_signatures
    open=$(connections)
    echo "connections to the HSM: $open"
    [ "$open" -ge 2 ] && [ "$open" -le 10 ]
    ends
}

export P11REST_CONFIG=$hsm/p11rest.toml
if [ "$(id -u)" -eq 0 ]; then
    rights
fi
check "at the default width no connection is leaked" as_wide_as_by_default
check "nginx complains of nothing then, either" no_complaint

finish
