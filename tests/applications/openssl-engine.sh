#!/bin/bash
# OpenSSL 3.0 with the engine of libp11 (0.4.12): first docs/applications/openssl.md to the letter, then every hash and padding,
# and 200 handshakes. Plain OpenSSL and Python have the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.bash"

version openssl version
version packaged libengine-pkcs11-openssl

start_emulator tls
configure_for_engine openssl
cd "$work"

message=$work/message
head -c 5000 /dev/urandom >"$message"

for heading in "The PIN" "The engine: its configuration" "The engine: signing a file" "The engine: decrypting" \
    "The engine: certificates" "The engine: CMS" "The engine: an authority"; do
    check "the page, \"$heading\"" follow openssl "$heading"
done

# engine COMMAND...: openssl with the engine and the module.
engine() {
    local command=$1
    shift
    OPENSSL_CONF=engine.cnf openssl "$command" -engine pkcs11 "$@"
}

# uri KEY [PIN]
uri() {
    echo "pkcs11:token=$token;object=$1;type=private;pin-value=${2:-$pin}"
}

# The page made them of the right keys.
subjects() {
    openssl x509 -in rsa-2048.crt -noout -pubkey | cmp - rsa-2048.pub
    openssl x509 -in ec-p256.crt -noout -pubkey | cmp - ec-p256.pub
    openssl req -in ec-p256.csr -noout -pubkey | cmp - ec-p256.pub
    openssl x509 -in ca.crt -noout -pubkey | cmp - rsa-2048.pub
    cmp rsa-2048.pem rsa-2048.pub
}

# The authority's list has the certificate that was revoked.
revoked() {
    openssl crl -in ca.crl -noout -text | grep -q "Serial Number: $(openssl x509 -in server.crt -noout -serial | cut -d= -f2)"
    refused 'certificate revoked' openssl verify -crl_check -CAfile ca.crt -CRLfile ca.crl server.crt
}

request() {
    engine req -new -keyform engine -key "$(uri "$1")" "-$2" -subj "/CN=$1" -out "$1.csr" "${@:3}"
    openssl req -in "$1.csr" -noout -pubkey | cmp - "$1.pub"
    says 'verify OK' openssl req -in "$1.csr" -noout -verify
}

self_signed() {
    engine req -new -x509 -days 2 -keyform engine -key "$(uri "$1")" "-$2" -subj "/CN=$1" -out "$1.crt" "${@:3}"
    openssl x509 -in "$1.crt" -noout -pubkey | cmp - "$1.pub"
    openssl verify -check_ss_sig -CAfile "$1.crt" "$1.crt"
}

# signature KEY HASH OPTIONS-OF-DGST...
signature() {
    local key=$1 hash=$2
    shift 2
    engine dgst -keyform engine "-$hash" "$@" -sign "$(uri "$key")" -out signature "$message"
    openssl dgst "-$hash" "$@" -verify "$key.pub" -signature signature "$message"
}

# digest KEY HASH OPTIONS-OF-PKEYUTL...: a digest that was made elsewhere.
digest() {
    local key=$1 hash=$2
    shift 2
    openssl dgst "-$hash" -binary -out digest "$message"
    engine pkeyutl -sign -keyform engine -inkey "$(uri "$key")" -pkeyopt "digest:$hash" "$@" -in digest -out signature
    openssl pkeyutl -verify -pubin -inkey "$key.pub" -pkeyopt "digest:$hash" "$@" -in digest -sigfile signature
}

# cms KEY CERTIFICATE OPTIONS...
cms() {
    engine cms -sign -binary -keyform engine -inkey "$(uri "$1")" -signer "$2" -in "$message" -out message.cms "${@:3}"
    openssl cms -verify -binary -CAfile "$2" -purpose any -in message.cms -out content
    cmp "$message" content
}

# decryption KEY OPTIONS-OF-PKEYUTL...
decryption() {
    local key=$1
    shift
    head -c 40 "$message" >plain
    openssl pkeyutl -encrypt -pubin -inkey "$key.pub" "$@" -in plain -out cipher
    engine pkeyutl -decrypt -keyform engine -inkey "$(uri "$key")" "$@" -in cipher -out content
    cmp plain content
}

public_key() {
    engine pkey -inform engine -pubin -in "pkcs11:token=$token;object=$1;type=public" -pubout -out public
    cmp public "$1.pub"
}

wrong_pin() {
    refused 'PIN incorrect' \
        engine dgst -sha256 -keyform engine -sign "$(uri rsa-2048 4321)" -out signature "$message"
}

newline_behind_the_pin() {
    echo "$pin" >line
    refused 'PIN incorrect' engine dgst -sha256 -keyform engine -out signature \
        -sign "pkcs11:token=$token;object=rsa-2048;type=private;pin-source=line" "$message"
}

# As the page says, and the reason for `hide_types`. If this fails, a newer libp11 is there and the page is to be changed.
ed25519_shown() {
    unset P11REST_SLOT_0_CATALOG_HIDE_TYPES
    refused 'not found' \
        engine dgst -sha256 -keyform engine -sign "$(uri rsa-2048)" -out signature "$message"
}

# In the file, as the page has it for good.
ed25519_hidden_by_the_file() {
    unset P11REST_SLOT_0_CATALOG_HIDE_TYPES
    configure hidden < <(section openssl "The engine: its configuration" toml)
    signature rsa-2048 sha256
}

# The same HSM twice: the first slot shows all keys.
second_slot() {
    local slot
    unset P11REST_SLOT_0_CATALOG_HIDE_TYPES
    slot=$(sed -n '/^\[\[slot\]\]/,$p' "$hsm/p11rest.toml")
    configure two <<<"${slot/label = \"$token\"/label = \"for the engine\"}"$'\n[slot.catalog]\nhide_types = ["ed25519"]'
    says 'Private key (EdDSA' p11tool --batch --provider "$M" --login --set-pin "$pin" --list-privkeys "pkcs11:token=$token"
    token="for%20the%20engine" signature rsa-2048 sha256
}

check "what the page made is of the right keys" subjects
check "ca -revoke, ca -gencrl" revoked
for key in rsa-2048 ec-p256 ec-cert; do
    check "req -new with $key" request "$key" sha256
    check "req -new -x509 with $key" self_signed "$key" sha384
    check "cms -sign with $key" cms "$key" "$key.crt"
    for hash in sha1 sha224 sha256 sha384 sha512; do
        check "dgst -$hash -sign with $key" signature "$key" "$hash"
    done
    check "pkeyutl -sign with $key" digest "$key" sha384
done
check "cms -sign with the certificate of the HSM" cms rsa-cert "$hsm/keys/rsa-cert.crt"
# The HSM's salt is as long as the hash.
pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1)
for hash in sha224 sha256 sha384 sha512; do
    check "dgst -$hash -sign with PSS" signature rsa-2048 "$hash" "${pss[@]}"
done
check "pkeyutl -sign with PSS" digest rsa-2048 sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:-1
check "req -new with PSS" request rsa-2048 sha256 "${pss[@]}"
check "req -new -x509 with PSS" self_signed rsa-2048 sha256 "${pss[@]}"
check "cms -sign with PSS" cms rsa-cert "$hsm/keys/rsa-cert.crt" -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:-1
check "pkeyutl -decrypt" decryption rsa-2048
check "pkeyutl -decrypt with OAEP" decryption rsa-2048 -pkeyopt rsa_padding_mode:oaep
for key in rsa-2048 ec-p256; do
    check "reads the public key $key" public_key "$key"
done
check "a wrong PIN" wrong_pin
check "a newline behind the PIN" newline_behind_the_pin
check "a token that shows an Ed25519 key" ed25519_shown
check "a file that hides it" ed25519_hidden_by_the_file
check "a second slot that does not show it" second_slot

# tls_server KEY: 100 handshakes, of TLS 1.2 and 1.3, and a signature of the HSM for each.
tls_server() {
    local before
    before=$(requests /v1/synchronousSign)
    shakes "$1.crt" 1.2 50
    shakes "$1.crt" 1.3 50
    [ $(($(requests /v1/synchronousSign) - before)) -eq 100 ]
}

follow openssl "The engine: certificates" >/dev/null 2>&1
commands=$(section openssl "The engine: a TLS server")
declare -A types=([rsa-2048]=RSA-PSS [ec-p256]=ECDSA)
for key in rsa-2048 ec-p256; do
    serve "${commands//rsa-2048/$key}"
    check "100 handshakes with $key" tls_server "$key"
    for version in 1_2 1_3; do
        check "$key and TLS $version: ${types[$key]}" signature_is "${types[$key]}" "$version" "$key.crt"
    done
    check "a server goes on when the HSM has refused its key for a while" recovers "$key.crt"
    stop_server
done

finish
