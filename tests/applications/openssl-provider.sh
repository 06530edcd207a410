#!/bin/bash
# OpenSSL 3.0 with pkcs11-provider (1.0): first docs/applications/openssl.md to the letter, then hashes and paddings, PINs, a server
# that forks, and 200 handshakes. Plain OpenSSL and Python have the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.bash"

version openssl version
version packaged pkcs11-provider

start_emulator tls
cd "$work"

message=$work/message
head -c 5000 /dev/urandom >"$message"

# What the page asks for.
check "pkcs11-provider 1.0 or newer" at_least 1.0 "$(packaged pkcs11-provider | cut -d ' ' -f 2)"

for heading in "The PIN" "The provider: its configuration" "The provider: signing a file" "The provider: decrypting" \
    "The provider: certificates" "The provider: CMS" "The provider: programs that want a file"; do
    check "the page, \"$heading\"" follow openssl "$heading"
done

provider() {
    OPENSSL_CONF=provider.cnf openssl "$@"
}

# uri KEY: the PIN is in a file.
uri() {
    echo "pkcs11:token=$token;object=$1;type=private;pin-source=pin"
}

# The page read and made them of the right keys.
subjects() {
    cmp <(openssl x509 -in rsa-cert.crt -outform DER) <(openssl x509 -in "$hsm/keys/rsa-cert.crt" -outform DER)
    cmp <(openssl x509 -in ec-cert.crt -outform DER) <(openssl x509 -in "$hsm/keys/ec-cert.crt" -outform DER)
    cmp ed25519.pem ed25519.pub
    openssl x509 -in ca.crt -noout -pubkey | cmp - rsa-2048.pub
    openssl x509 -in ec-p256.crt -noout -pubkey | cmp - ec-p256.pub
    OPENSSL_CONF=server.cnf openssl pkey -in rsa-cert.key -pubout | openssl pkey -pubin | cmp - rsa-cert.pub
}

everything_is_listed() {
    local list name
    list=$(provider storeutl -noout -text "pkcs11:token=$token;pin-source=pin")
    printf '%s\n' "$list"
    for name in rsa-2048 rsa-cert ec-p256 ec-cert ed25519; do
        grep -q "object=$name;type=private" <<<"$list"
    done
}

request() {
    provider req -new -key "$(uri "$1")" -subj "/CN=$1" -out "$1.csr" "${@:2}"
    openssl req -in "$1.csr" -noout -pubkey | cmp - "$1.pub"
    says 'verify OK' openssl req -in "$1.csr" -noout -verify
}

# signature KEY HASH OPTIONS-OF-DGST...
signature() {
    local key=$1 hash=$2
    shift 2
    provider dgst "-$hash" "$@" -sign "$(uri "$key")" -out signature "$message"
    openssl dgst "-$hash" "$@" -verify "$key.pub" -signature signature "$message"
}

# cms KEY OPTIONS...: the certificate is the HSM's.
cms() {
    provider cms -sign -binary -inkey "$(uri "$1")" -signer "pkcs11:token=$token;object=$1;type=cert" \
        -in "$message" -out message.cms "${@:2}"
    openssl cms -verify -binary -CAfile "$hsm/keys/$1.crt" -purpose any -in message.cms -out content
    cmp "$message" content
}

# decryption OPTIONS-OF-PKEYUTL...
decryption() {
    head -c 40 "$message" >plain
    openssl pkeyutl -encrypt -pubin -inkey rsa-2048.pub "$@" -in plain -out cipher
    provider pkeyutl -decrypt -inkey "$(uri rsa-2048)" "$@" -in cipher -out content
    cmp plain content
}

# by_id KEY: by CKA_ID, which the list tells.
by_id() {
    local id
    id=$(provider storeutl -noout -text -keys "pkcs11:token=$token;pin-source=pin" |
        sed -n "s/.*;id=\([^;]*\);object=$1;type=private.*/\1/p" | head -n 1)
    [ -n "$id" ]
    provider pkey -in "pkcs11:token=$token;id=$id;type=private;pin-source=pin" -pubout | openssl pkey -pubin | cmp - "$1.pub"
}

for_this_pin() {
    provider dgst -sha256 -sign "pkcs11:token=$token;object=rsa-2048;type=private;$1" -out signature "$message" &&
        openssl dgst -sha256 -verify rsa-2048.pub -signature signature "$message"
}

pin_in_the_configuration() {
    OPENSSL_CONF=server.cnf openssl dgst -sha256 -sign "pkcs11:token=$token;object=rsa-2048;type=private" \
        -out signature "$message"
    openssl dgst -sha256 -verify rsa-2048.pub -signature signature "$message"
}

check "what the page read and made is right" subjects
check "storeutl lists all keys" everything_is_listed
for key in rsa-2048 ec-p256; do
    check "req -new with $key" request "$key" -sha256
    check "reads $key by its id" by_id "$key"
    for hash in sha1 sha224 sha256 sha384 sha512; do
        check "dgst -$hash -sign with $key" signature "$key" "$hash"
    done
done
check "cms -sign with rsa-cert" cms rsa-cert
check "cms -sign with ec-cert" cms ec-cert -md sha384
pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1)
for hash in sha224 sha256 sha384 sha512; do
    check "dgst -$hash -sign with PSS" signature rsa-2048 "$hash" "${pss[@]}"
done
check "req -new with PSS" request rsa-2048 -sha384 "${pss[@]}"
check "cms -sign with PSS" cms rsa-cert -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:-1
check "pkeyutl -decrypt" decryption
for hash in sha1 sha256; do
    check "pkeyutl -decrypt with OAEP and $hash" decryption -pkeyopt rsa_padding_mode:oaep \
        -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
done
# As the page says. If this fails, a newer provider is there and the page is to be changed.
check "OAEP without its hashes" refused 'unsupported padding mode' decryption -pkeyopt rsa_padding_mode:oaep

echo "$pin" >line
echo 4321 >wrong
check "pin-source" for_this_pin pin-source=pin
check "pin-source, with a newline" for_this_pin "pin-source=file:$work/line"
check "pin-value" for_this_pin "pin-value=$pin"
check "the PIN in the configuration" pin_in_the_configuration
check "a wrong PIN" refused 'Could not read private key' for_this_pin pin-source=wrong
check "no PIN, and nobody to ask" refused 'Could not read private key' for_this_pin x-none=1

# tls_server KEY COUNT WIDTH: handshakes of TLS 1.2 and of 1.3, and a signature of the HSM for each.
tls_server() {
    local before
    before=$(requests /v1/synchronousSign)
    shakes "$hsm/keys/$1.crt" 1.2 "$2" "$3"
    shakes "$hsm/keys/$1.crt" 1.3 "$2" "$3"
    [ $(($(requests /v1/synchronousSign) - before)) -eq $((2 * $2 * $3)) ]
}

commands=$(section openssl "The provider: a TLS server")
declare -A types=([rsa-cert]=RSA-PSS [ec-cert]=ECDSA)
for key in rsa-cert ec-cert; do
    serve "${commands//rsa-cert/$key}"
    check "100 handshakes with $key" tls_server "$key" 50 1
    for version in 1_2 1_3; do
        check "$key and TLS $version: ${types[$key]}" signature_is "${types[$key]}" "$version" "$hsm/keys/$key.crt"
    done
    check "a server goes on when the HSM has refused its key for a while" recovers "$hsm/keys/$key.crt"
    stop_server
done

# forked_server CONFIGURATION KEY: each of the processes logs in by itself, and both children sign.
forked_server() {
    local lines
    lines=$(wc -l <"$scratch/module.log")
    serve "OPENSSL_CONF=$1 exec python3 $root/tests/applications/tls_prefork.py 4433 $hsm/keys/rsa-cert.crt $2"
    tls_server rsa-cert 10 2
    stop_server
    [ "$(processes "$lines" C_Login)" -eq 3 ]
    [ "$(processes "$lines" 'C_Sign[A-Za-z]*')" -eq 2 ]
}

# processes LINES CALL: how many had success with it, behind so many lines of the log.
processes() {
    tail -n "+$(($1 + 1))" "$scratch/module.log" | sed -n "s|^[^ ]* *[A-Z]* *\([0-9]*\)/[0-9]* $2: CKR_OK.*|\1|p" | sort -u | wc -l
}

pem_with_pin() {
    local commands
    commands=$(section openssl "The provider: programs that want a file")
    bash -euo pipefail -c "${commands//type=private/type=private;pin-source=$work/pin}"
}

check "two workers sign after the fork: the PIN in the configuration" forked_server server.cnf rsa-cert.key
check "a PEM file with a URI with a PIN" pem_with_pin
check "two workers sign after the fork: the PIN of the URI" forked_server provider.cnf rsa-cert.key

finish
