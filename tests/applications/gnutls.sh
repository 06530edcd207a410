#!/bin/bash
# GnuTLS (3.7) by pkcs11: URIs, the module registered with p11-kit: certtool makes certificates and requests, gnutls-serv
# serves with keys of the token, gnutls-cli shows certificates of it. OpenSSL is the peer, and has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

start_emulator tls
ordinary_user
export GNUTLS_PIN=$pin

template=$root/pkcs11-test-config/certtool.cfg
url="pkcs11:token=$token"
message=$work/message
head -c 3000 /dev/urandom >"$message"
printf '%s' "$pin" >"$work/pin"

# uri KEY
uri() {
    echo "$url;object=$1;type=private"
}

certtool_as_user() {
    "${user[@]}" certtool "$@"
}

self_signed() {
    certtool_as_user --generate-self-signed --load-privkey "$(uri "$1")" --template "$work/template" --outfile "$work/$1.crt" "${@:2}"
    openssl x509 -in "$work/$1.crt" -noout -pubkey | cmp - "$work/$1.pub"
    openssl verify -check_ss_sig -CAfile "$work/$1.crt" "$work/$1.crt"
}

request() {
    certtool_as_user --generate-request --load-privkey "$(uri "$1")" --template "$work/template" --outfile "$work/$1.csr"
    says 'verify OK' openssl req -in "$work/$1.csr" -noout -verify
    openssl req -in "$work/$1.csr" -noout -pubkey | cmp - "$work/$1.pub"
}

# The token's key and certificate as an authority.
issues() {
    printf 'cn = "an authority"\nca\ncert_signing_key\nexpiration_days = 2\n' >"$work/authority"
    certtool_as_user --generate-self-signed --load-privkey "$(uri rsa-cert)" --template "$work/authority" --outfile "$work/ca.crt"
    certtool_as_user --generate-certificate --load-request "$work/ec-p256.csr" --load-ca-certificate "$work/ca.crt" \
        --load-ca-privkey "$(uri rsa-cert)" --template "$work/template" --outfile "$work/issued.crt"
    openssl verify -x509_strict -purpose sslserver -verify_hostname p11rest.example -CAfile "$work/ca.crt" "$work/issued.crt"
}

signs_cms() {
    certtool_as_user --p7-sign --load-privkey "$(uri "$1")" --load-certificate "$work/$1.crt" --infile "$message" --outfile "$work/message.p7"
    openssl cms -verify -binary -inform PEM -in "$work/message.p7" -CAfile "$work/$1.crt" -purpose any -out "$work/content"
    cmp "$message" "$work/content"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for PORT PID
wait_for() {
    local waited=0
    until (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$2" || return 1
        [ $((waited += 1)) -lt 100 ]
        sleep 0.1
    done
}

# serves URI CERTIFICATE: 20 handshakes, half with TLS 1.2 and half with 1.3.
serves() {
    local port server version peer
    port=$(free_port)
    "${user[@]}" gnutls-serv --quiet --http --port "$port" --x509certfile "$2" --x509keyfile "$1" >"$work/serv.log" 2>&1 &
    server=$!
    trap "kill $server; cat '$work/serv.log'" EXIT
    wait_for "$port" "$server"
    for version in tls1_2 tls1_3; do
        for _ in {1..10}; do
            peer=$(openssl s_client -connect "127.0.0.1:$port" "-$version" -verify_hostname localhost -CAfile "$2" \
                -verify_return_error -brief </dev/null 2>&1) || { echo "$peer"; return 1; }
            grep -q '^Verification: OK' <<<"$peer"
        done
    done
}

without_pin() {
    unset GNUTLS_PIN
    "$@"
}

# authenticates KEY VERSION: OpenSSL's server wants a certificate, and gnutls-cli has that of the token, and its key.
authenticates() {
    local port server
    port=$(free_port)
    openssl s_server -accept "127.0.0.1:$port" -cert "$work/server.crt" -key "$work/server.key" -Verify 1 -verify_return_error \
        -CAfile "$work/clients.pem" -www -brief >"$work/server.log" 2>&1 &
    server=$!
    trap "kill $server; cat '$work/server.log'" EXIT
    wait_for "$port" "$server"
    printf 'GET / HTTP/1.0\r\n\r\n' | "${user[@]}" gnutls-cli --x509cafile "$work/server.crt" --verify-hostname localhost \
        --priority "NORMAL:-VERS-ALL:+VERS-$2" --x509certfile "$url;object=$1;type=cert" --x509keyfile "$(uri "$1")" \
        --port "$port" 127.0.0.1 >"$work/page"
    grep -q 'Verify return code: 0' "$work/page"
}

cp "$template" "$work/template"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/server.key" -out "$work/server.crt" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
cat "$hsm/keys/rsa-cert.crt" "$hsm/keys/ec-cert.crt" >"$work/clients.pem"
# As the user who runs the tools will write beside them.
[ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$work"

for key in rsa-2048 rsa-cert ec-p256 ec-cert; do
    check "certtool --generate-self-signed with $key" self_signed "$key"
    check "certtool --generate-request with $key" request "$key"
done
check "certtool --generate-certificate" issues
for key in rsa-2048 ec-p256; do
    check "certtool --p7-sign with $key" signs_cms "$key"
done
for key in rsa-2048 ec-p256; do
    check "gnutls-serv with $key" serves "$(uri "$key")" "$work/$key.crt"
done
check "gnutls-serv with pin-source" without_pin serves "$(uri rsa-2048)?pin-source=$work/pin" "$work/rsa-2048.crt"
for key in rsa-cert ec-cert; do
    for version in TLS1.2 TLS1.3; do
        check "gnutls-cli with the certificate $key, $version" authenticates "$key" "$version"
    done
done

finish
