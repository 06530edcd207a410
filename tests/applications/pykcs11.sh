#!/bin/bash
# PyKCS11: what the small application pykcs11.py does with it. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version "$python" -c 'import importlib.metadata as m; print("PyKCS11", m.version("PyKCS11"))'
version openssl version

start_emulator tls
# What PyKCS11 loads if it is not told.
export PYKCS11LIB=$module PYTHONDONTWRITEBYTECODE=1

message=$work/message
head -c 60 /dev/urandom >"$message"

py() {
    "$python" "$root/tests/applications/pykcs11.py" "$@"
}

objects() {
    local list
    list=$(py objects)
    printf '%s\n' "$list"
    [ "$(wc -l <<<"$list")" -eq 13 ]
    grep -q '^CKO_PRIVATE_KEY rsa-2048 [0-9a-f]* CKK_RSA$' <<<"$list"
    grep -q '^CKO_PUBLIC_KEY ec-cert [0-9a-f]* CKK_ECDSA$' <<<"$list"
    grep -q '^CKO_SECRET_KEY aes-256 [0-9a-f]* CKK_AES$' <<<"$list"
    [ "$(grep -c '^CKO_CERTIFICATE' <<<"$list")" -eq 2 ]
}

modulus() {
    [ "$(py modulus "$1")" = "$(openssl rsa -pubin -in "$work/$1.pub" -noout -modulus | sed 's/^Modulus=//')" ]
}

certificate() {
    py certificate "$1" "$work/certificate"
    openssl x509 -in "$hsm/keys/$1.crt" -outform DER | cmp - "$work/certificate"
}

# signs KEY MECHANISM HASH OPTIONS-OF-DGST...
signs() {
    py sign "$1" "$2" "$message" "$work/signature"
    openssl dgst "-$3" "${@:4}" -verify "$work/$1.pub" -signature "$work/signature" "$message"
}

signs_eddsa() {
    py sign ed25519 CKM_EDDSA "$message" "$work/signature"
    openssl pkeyutl -verify -pubin -inkey "$work/ed25519.pub" -rawin -in "$message" -sigfile "$work/signature"
}

# crypts MECHANISM OPTIONS-OF-PKEYUTL...: OpenSSL encrypts and the HSM decrypts, the module encrypts and OpenSSL decrypts.
crypts() {
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa-2048.pub" "${@:2}" -in "$message" -out "$work/cipher"
    py decrypt rsa-2048 "$1" "$work/cipher" "$work/plain"
    cmp "$message" "$work/plain"
    py encrypt rsa-2048 "$1" "$message" "$work/cipher"
    openssl pkeyutl -decrypt -inkey "$hsm/keys/rsa-2048.pem" "${@:2}" -in "$work/cipher" | cmp - "$message"
}

hashes() {
    py digest "CKM_SHA$1" "$message" "$work/digest"
    openssl dgst "-sha$1" -binary "$message" | cmp - "$work/digest"
}

# Eight threads with a session each; every signature has a message of its own.
threads() {
    local number
    mkdir "$work/threads"
    py threads ec-p256 8 10 "$work/threads"
    for number in {0..79}; do
        openssl dgst -sha256 -verify "$work/ec-p256.pub" -signature "$work/threads/$number.signature" "$work/threads/$number" >/dev/null
    done
}

page() {
    section python PyKCS11 python >"$work/page.py"
    cd "$work"
    cp "$message" data
    "$python" page.py
    openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -verify rsa-2048.pub -signature signature data
}

# forked HOW: child and parent sign.
forked() {
    local name
    py "$1" ec-p256 "$message" "$work/signature"
    for name in child parent; do
        openssl dgst -sha256 -verify "$work/ec-p256.pub" -signature "$work/signature.$name" "$message"
    done
}

check "the page" page
check "lists objects" objects
check "shows no private key before login" py before_login
check "reads the modulus of rsa-2048" modulus rsa-2048
check "reads the certificate ec-cert" certificate ec-cert
for hash in 256 384 512; do
    check "signs CKM_SHA${hash}_RSA_PKCS" signs rsa-2048 "CKM_SHA${hash}_RSA_PKCS" "sha$hash"
    check "signs CKM_SHA${hash}_RSA_PKCS_PSS" signs rsa-cert "CKM_SHA${hash}_RSA_PKCS_PSS" "sha$hash" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1
    check "signs CKM_ECDSA_SHA$hash" signs ec-cert "CKM_ECDSA_SHA$hash" "sha$hash"
    check "encrypts and decrypts CKM_RSA_PKCS_OAEP with SHA-$hash" crypts "CKM_RSA_PKCS_OAEP:$hash" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:sha$hash" -pkeyopt "rsa_mgf1_md:sha$hash"
    check "hashes with CKM_SHA$hash" hashes "$hash"
done
check "signs CKM_EDDSA" signs_eddsa
check "encrypts and decrypts CKM_RSA_PKCS" crypts CKM_RSA_PKCS
check "signs in eight threads" threads
check "generates random bytes" py random
check "a wrong PIN" py wrong_pin
check "logs out and in again" py login_again
check "a child loads the module anew" forked forked_anew
export P11REST_FORK=transparent
check "a child goes on, with fork = \"transparent\"" forked forked_transparently

finish
