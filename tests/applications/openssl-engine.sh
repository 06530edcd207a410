#!/bin/bash
# OpenSSL 3.0 with the engine of libp11 (0.4.12): requests, signatures, CMS, decryption. Plain OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

start_emulator tls
# libp11 0.4.12 gives up on a token that shows an Ed25519 key.
configure engine <<'TOML'
[slot.catalog]
hide = ["ed25519"]
TOML

message=$work/message
head -c 5000 /dev/urandom >"$message"

cat >"$work/openssl.cnf" <<CNF
openssl_conf = initialisation
[initialisation]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $module
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = p11rest
[extensions]
basicConstraints = CA:FALSE
CNF

# engine COMMAND...: openssl with the engine and the module.
engine() {
    local command=$1
    shift
    OPENSSL_CONF=$work/openssl.cnf openssl "$command" -engine pkcs11 "$@"
}

# uri KEY [PIN]
uri() {
    echo "pkcs11:token=$token;object=$1;type=private;pin-value=${2:-$pin}"
}

request() {
    engine req -new -keyform engine -key "$(uri "$1")" "-$2" -subj "/CN=$1" -out "$work/$1.csr"
    openssl req -in "$work/$1.csr" -noout -pubkey | cmp - "$work/$1.pub"
    says 'verify OK' openssl req -in "$work/$1.csr" -noout -verify
}

self_signed() {
    engine req -new -x509 -days 2 -keyform engine -key "$(uri "$1")" "-$2" -subj "/CN=$1" -out "$work/$1.crt"
    openssl x509 -in "$work/$1.crt" -noout -pubkey | cmp - "$work/$1.pub"
    openssl verify -check_ss_sig -CAfile "$work/$1.crt" "$work/$1.crt"
}

# signature KEY HASH OPTIONS-OF-DGST...
signature() {
    local key=$1 hash=$2
    shift 2
    engine dgst -keyform engine "-$hash" "$@" -sign "$(uri "$key")" -out "$work/signature" "$message"
    openssl dgst "-$hash" "$@" -verify "$work/$key.pub" -signature "$work/signature" "$message"
}

# cms KEY CERTIFICATE
cms() {
    engine cms -sign -binary -keyform engine -inkey "$(uri "$1")" -signer "$2" -in "$message" -out "$work/message.cms"
    openssl cms -verify -binary -CAfile "$2" -purpose any -in "$work/message.cms" -out "$work/content"
    cmp "$message" "$work/content"
}

# decryption KEY OPTIONS-OF-PKEYUTL...
decryption() {
    local key=$1
    shift
    head -c 40 "$message" >"$work/plain"
    openssl pkeyutl -encrypt -pubin -inkey "$work/$key.pub" "$@" -in "$work/plain" -out "$work/cipher"
    engine pkeyutl -decrypt -keyform engine -inkey "$(uri "$key")" "$@" -in "$work/cipher" -out "$work/content"
    cmp "$work/plain" "$work/content"
}

public_key() {
    engine pkey -inform engine -pubin -in "pkcs11:token=$token;object=$1;type=public" -pubout -out "$work/public"
    cmp "$work/public" "$work/$1.pub"
}

wrong_pin() {
    refused 'PIN incorrect' \
        engine dgst -sha256 -keyform engine -sign "$(uri rsa-2048 4321)" -out "$work/signature" "$message"
}

for key in rsa-2048 ec-p256 ec-cert; do
    check "req -new with $key" request "$key" sha256
    check "req -new -x509 with $key" self_signed "$key" sha384
    check "cms -sign with $key" cms "$key" "$work/$key.crt"
    for hash in sha1 sha224 sha256 sha384 sha512; do
        check "dgst -$hash -sign with $key" signature "$key" "$hash"
    done
done
check "cms -sign with the certificate of the HSM" cms rsa-cert "$hsm/keys/rsa-cert.crt"
# The HSM's salt is as long as the hash.
for hash in sha224 sha256 sha384 sha512; do
    check "dgst -$hash -sign with PSS" \
        signature rsa-2048 "$hash" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1
done
check "pkeyutl -decrypt" decryption rsa-2048
check "pkeyutl -decrypt with OAEP" decryption rsa-2048 -pkeyopt rsa_padding_mode:oaep
for key in rsa-2048 ec-p256; do
    check "reads the public key $key" public_key "$key"
done
check "a wrong PIN" wrong_pin

finish
