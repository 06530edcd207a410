#!/bin/bash
# GnuTLS (3.7) by pkcs11: URIs: docs/applications/gnutls.md to the letter, then each key. OpenSSL and Python are the peers, and have
# the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.bash"

version gnutls-cli --version
version openssl version

start_emulator tls
head -c 3000 /dev/urandom >"$work/data"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/server.key" -out "$work/server-ca.crt" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
cat "$hsm/keys/rsa-cert.crt" "$hsm/keys/ec-cert.crt" >"$work/clients.pem"
ordinary_user
cd "$work"
follow p11-kit "Registering the module" >/dev/null

looks() {
    local list
    list=$(follow gnutls "Looking" 2>&1)
    printf '%s\n' "$list"
    [ "$(grep -c 'Type: Private key' <<<"$list")" -eq 5 ]
    [ "$(grep -c '\.\.\. ok$' <<<"$list")" -eq 6 ]
    openssl x509 -in "$hsm/keys/rsa-cert.crt" -out expected.crt
    openssl x509 -in exported.crt | cmp - expected.crt
    openssl pkey -pubin -in exported.pub | cmp - ec-p256.pub
}

# has_key CERTIFICATE KEY: it has this key, and signed itself.
has_key() {
    openssl x509 -in "$1" -noout -pubkey | cmp - "$2.pub"
    openssl verify -check_ss_sig -CAfile "$1" "$1"
}

requests_key() {
    says 'verify OK' openssl req -in "$1.csr" -noout -verify
    openssl req -in "$1.csr" -noout -pubkey | cmp - "$1.pub"
}

certificates() {
    follow gnutls "Certificates"
    has_key rsa-2048.crt rsa-2048
    requests_key ec-p256
}

authority() {
    follow gnutls "An authority"
    has_key ca.crt rsa-cert
    openssl verify -x509_strict -purpose sslserver -verify_hostname www.example -CAfile ca.crt ec-p256.crt
}

on_the_token() {
    says '1 objects deleted' follow gnutls "The certificate on the token"
    openssl x509 -in ec-p256.crt -outform DER >expected.der
    openssl x509 -in exported-ec.crt -outform DER | cmp - expected.der
    if p11tool --login --list-all-certs "pkcs11:token=$token" | grep 'object=ec-p256'; then return 1; fi
}

message() {
    follow gnutls "A signed message"
    openssl cms -verify -binary -inform PEM -in data.p7 -CAfile rsa-2048.crt -purpose any -out content
    cmp data content
}

# certified KEY: by each key, what the page shows for one.
certified() {
    local key="pkcs11:token=$token;object=$1;type=private"
    export GNUTLS_PIN=$pin
    "${user[@]}" certtool --generate-self-signed --load-privkey "$key" --template server.cfg --outfile "self-$1.crt"
    has_key "self-$1.crt" "$1"
    "${user[@]}" certtool --generate-request --load-privkey "$key" --template server.cfg --outfile "$1.csr"
    requests_key "$1"
}

# serves CERTIFICATE COMMANDS: 10 handshakes with each version.
serves() {
    trap stop_server EXIT
    serve "$2"
    shakes "$1" 1.2 10
    shakes "$1" 1.3 10
}

# authenticates KEY VERSION: OpenSSL's server wants a certificate; the page has gnutls-cli show that of a key.
authenticates() {
    local commands
    commands=$(section gnutls "A TLS client" | sed "s/ec-cert/$1/")
    trap stop_server EXIT
    serve "openssl s_server -accept 127.0.0.1:4433 -cert server-ca.crt -key server.key -Verify 1 -verify_return_error \
        -CAfile clients.pem -www -tls${2/./_}"
    handshakes wait "$port"
    "${user[@]}" bash -euo pipefail -c "${commands//4433/$port}" >page
    cat server.log
    grep -q 'Verify return code: 0' page
    grep -A3 '^Client certificate' page
}

# The page has what it says of the proxy from p11-kit: "refusing to load the p11-kit-proxy.so module as a registered module".
no_proxy() {
    refused 'PKCS #11 initialization error' "${user[@]}" p11tool --provider "$(echo /usr/lib/*/p11-kit-proxy.so)" --list-tokens
}

# The page, and then a server of TLS that has neither the module nor a configuration: only the path of the socket.
by_socket() {
    "${user[@]}" bash -euo pipefail -c "trap 'p11-kit server --kill >&2 || true' ERR; $(section gnutls "From another process")
        env | grep ^P11_KIT_SERVER_ >server.env" >said 2>&1
    cat said
    . ./server.env
    export P11_KIT_SERVER_ADDRESS
    trap 'stop_server; kill "$P11_KIT_SERVER_PID"' EXIT
    [ "$(grep -c '\.\.\. ok$' said)" -eq 3 ]
    has_key remote.crt ec-p256
    rm "$home/.config/pkcs11/modules/p11rest.module"
    unset P11REST_LOG_TARGET P11REST_LOG_LEVEL
    user+=(env HOME=/nonexistent GNUTLS_PIN="$pin")
    refused "No matching objects" "${user[@]}" p11tool --login --list-privkeys "pkcs11:token=$token"
    serve "gnutls-serv --provider $(echo /usr/lib/*/pkcs11/p11-kit-client.so) --http --port 4433 --x509certfile remote.crt \
        --x509keyfile 'pkcs11:token=$token;object=ec-p256;type=private'"
    shakes remote.crt 1.2 3
    shakes remote.crt 1.3 3
}

check "the page, \"The PIN\"" says 'Type: Private key' follow gnutls "The PIN"
check "the page, \"Looking\"" looks
check "the page, \"Certificates\"" certificates
check "the page, \"An authority\"" authority
check "the page, \"The certificate on the token\"" on_the_token
check "the page, \"A signed message\"" message
check "the page, \"A TLS server\"" serves rsa-2048.crt "$(section gnutls "A TLS server")"
for key in rsa-2048 rsa-cert ec-p256 ec-cert; do
    check "certtool with $key" certified "$key"
done
check "gnutls-serv with ec-p256 and pin-source" serves self-ec-p256.crt "gnutls-serv --http --port 4433 --x509certfile self-ec-p256.crt \
    --x509keyfile 'pkcs11:token=$token;object=ec-p256;type=private?pin-source=$work/pin'"
for key in rsa-cert ec-cert; do
    for version in 1.2 1.3; do
        check "the page, \"A TLS client\", with $key and TLS $version" authenticates "$key" "$version"
    done
done
check "p11-kit's proxy is not for GnuTLS" no_proxy
check "the page, \"From another process\", and a server of TLS there" by_socket

finish
