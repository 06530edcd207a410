# What the tests with TLS servers share, besides lib.sh. To be sourced behind it.

handshakes() {
    python3 "$root/tests/applications/tls_handshakes.py" "$@"
}

server=

# serve COMMANDS: runs the commands of a page that start a server on port 4433, in the background and on port $port.
serve() {
    port=$(handshakes port)
    # In a group of its own: what is to be ended is the server, not the shell that started it.
    set -m
    "${user[@]}" bash -euo pipefail -c "${1//4433/$port}" </dev/null >"$work/server.log" 2>&1 &
    server=$!
    set +m
}

wait_for_server() {
    handshakes wait "$port"
}

stop_server() {
    [ -n "$server" ] || return 0
    kill -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# shakes CA VERSION COUNT [WIDTH]: handshakes with what `serve` started; its log is shown if one fails.
shakes() {
    handshakes shake "$port" "$@" || { cat "$work/server.log"; return 1; }
}

# signature_is TYPE VERSION CA: what the server signs with is of this type (RSA-PSS or ECDSA). The client takes no other, lest TLS 1.2
# be RSA with PKCS#1.
signature_is() {
    local -A algorithms=([RSA-PSS]=rsa_pss_rsae_sha256 [ECDSA]=ECDSA+SHA256:ECDSA+SHA384)
    local output
    output=$(timeout 20 openssl s_client -connect "127.0.0.1:$port" "-tls$2" -sigalgs "${algorithms[$1]}" -CAfile "$3" \
        -verify_return_error </dev/null 2>&1) || { printf '%s\n' "$output"; return 1; }
    printf '%s\n' "$output"
    grep -q "^Peer signature type: $1\$" <<<"$output"
    grep -q 'Verify return code: 0' <<<"$output"
}

# requests PATTERN: how many requests the emulator has had whose method and path match, so far.
requests() {
    curl -sS --cacert "$hsm/ca.pem" "$(emulator_url)/_emulator/stats" |
        python3 -c 'import json, re, sys
counts = json.load(sys.stdin)["requests"]
print(sum(count for path, count in counts.items() if re.search(sys.argv[1], path)))' "$1"
}

# api_keys KEY: the key for key operations, and so the PIN, that the emulator takes from now on.
api_keys() {
    curl -sS --fail --cacert "$hsm/ca.pem" -X PUT -d "[\"$1\"]" "$(emulator_url)/_emulator/api-keys/key_operation"
}

# recovers CA: the server's credential is refused for a while, and its next handshake is as good as ever.
recovers() {
    api_keys another
    refused 'alert' shakes "$1" 1.3 1
    api_keys "$pin"
    shakes "$1" 1.2 2
    shakes "$1" 1.3 2
}

# connections: how many connections the emulator has open, that of the question not counted.
connections() {
    curl -sS --cacert "$hsm/ca.pem" "$(emulator_url)/_emulator/stats" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["connections_open"] - 1)'
}

emulator_url() {
    sed -n 's/^urls = \["\(.*\)"\]$/\1/p' "$hsm/p11rest.toml"
}
