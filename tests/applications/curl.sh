#!/bin/bash
# curl with a client certificate whose key is in the HSM, as docs/applications/curl.md has it. The server is OpenSSL's, which says who came.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.bash"

version curl --version
version packaged libengine-pkcs11-openssl
version packaged pkcs11-provider

start_emulator tls
configure_for_engine curl
cd "$work"

# on_this_machine HEADING: the page's commands, for this emulator and this server.
on_this_machine() {
    local commands
    commands=$(section curl "$1")
    printf '%s\n' "${commands//4433/$port}"
}

# page HEADING: the server saw the key's certificate, and the HSM signed.
page() {
    local before
    before=$(requests /v1/synchronousSign)
    rm -f answer
    bash -euo pipefail -c "$(on_this_machine "$1")"
    grep -q 'Subject: CN=rsa-cert' answer
    [ "$(requests /v1/synchronousSign)" -gt "$before" ]
}

# shows KEY OPTIONS...: the server was shown the certificate of KEY.
shows() {
    says "Subject: CN=$1" env OPENSSL_CONF=engine.cnf curl -sS --cacert "$hsm/ca.pem" \
        --cert "pkcs11:token=$token;object=$1;type=cert" \
        --key "pkcs11:token=$token;object=$1;type=private;pin-value=$pin" "${@:2}" "https://localhost:$port/"
}

without_certificate() {
    refused 'alert' curl -sS --cacert "$hsm/ca.pem" "https://localhost:$port/"
}

wrong_pin() {
    OPENSSL_CONF=engine.cnf refused 'Login failed' curl -sS --cacert "$hsm/ca.pem" --cert "$hsm/keys/rsa-cert.crt" \
        --key "pkcs11:token=$token;object=rsa-cert;type=private;pin-value=4321" "https://localhost:$port/"
}

cat "$hsm/keys/rsa-cert.crt" "$hsm/keys/ec-cert.crt" >both.crt
port=4433
commands=$(on_this_machine "A server to try it with")
serve "${commands//$hsm\/keys\/rsa-cert.crt/both.crt}"
wait_for_server

check "the page, \"The engine\"" page "The engine"
for heading in "The provider: its configuration" "The provider: programs that want a file"; do
    follow openssl "$heading" >/dev/null
done
check "the page, \"The provider\"" page "The provider"
for key in rsa-cert ec-cert; do
    check "$key and TLS 1.2" shows "$key" --tls-max 1.2
    check "$key and TLS 1.3" shows "$key" --tlsv1.3
done
check "a wrong PIN" wrong_pin
check "the server lets nobody in without a certificate" without_certificate
stop_server

finish
