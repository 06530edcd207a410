#!/bin/bash
# python-pkcs11: what the small application python_pkcs11.py does with it. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version "$python" -c 'import importlib.metadata as m; print("python-pkcs11", m.version("python-pkcs11"))'
version openssl version

start_emulator tls
export MODULE=$module PYTHONDONTWRITEBYTECODE=1

message=$work/message
head -c 60 /dev/urandom >"$message"
signature=$work/signature
iv=000102030405060708090a0b0c0d0e0f

py() {
    "$python" "$root/tests/applications/python_pkcs11.py" "$@"
}

objects() {
    local list
    list=$(py objects)
    printf '%s\n' "$list"
    [ "$(wc -l <<<"$list")" -eq 13 ]
    grep -q '^PRIVATE_KEY rsa-2048 [0-9a-f]* RSA$' <<<"$list"
    grep -q '^PRIVATE_KEY ec-p256 [0-9a-f]* EC$' <<<"$list"
    grep -q '^PUBLIC_KEY ed25519 [0-9a-f]* EC_EDWARDS$' <<<"$list"
    grep -q '^SECRET_KEY aes-256 [0-9a-f]* AES$' <<<"$list"
    # A certificate has the id of its key.
    [ "$(sed -n 's/^[A-Z_]* ec-cert \([0-9a-f]*\) .*/\1/p' <<<"$list" | sort | uniq -c | awk '{ print $1 }')" = 3 ]
}

attributes() {
    py attributes "$1" "$(openssl rsa -pubin -in "$work/$1.pub" -noout -modulus | sed 's/^Modulus=//')"
}

# signs HASH KEY MECHANISM OPTIONS-OF-DGST...
signs() {
    local hash=$1 key=$2 mechanism=$3
    shift 3
    py sign "$key" "$mechanism" "$message" "$signature"
    openssl dgst "-$hash" "$@" -verify "$work/$key.pub" -signature "$signature" "$message"
    py sign_in_parts "$key" "$mechanism" "$message" "$signature"
    openssl dgst "-$hash" "$@" -verify "$work/$key.pub" -signature "$signature" "$message"
}

# PKCS#11 has r and s side by side, OpenSSL in a SEQUENCE.
ecdsa_verify() {
    local hex half
    hex=$(od -An -tx1 -v "$signature" | tr -d ' \n')
    half=$((${#hex} / 2))
    openssl asn1parse -noout -out "$work/sequence" -genconf <(
        printf 'asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${hex:0:half}" "${hex:half}"
    )
    openssl dgst "-$1" -verify "$work/$2.pub" -signature "$work/sequence" "$message"
}

signs_ecdsa() {
    py sign "$2" "ECDSA_${1^^}" "$message" "$signature"
    ecdsa_verify "$1" "$2"
    py sign_in_parts "$2" "ECDSA_${1^^}" "$message" "$signature"
    ecdsa_verify "$1" "$2"
}

signs_eddsa() {
    py sign ed25519 EDDSA "$message" "$signature"
    openssl pkeyutl -verify -pubin -inkey "$work/ed25519.pub" -rawin -in "$message" -sigfile "$signature"
}

# crypts MECHANISM OPTIONS-OF-PKEYUTL...: OpenSSL encrypts and the HSM decrypts, the module encrypts and OpenSSL decrypts.
crypts() {
    local mechanism=$1
    shift
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa-2048.pub" "$@" -in "$message" -out "$work/cipher"
    py decrypt rsa-2048 "$mechanism" "$work/cipher" "$work/plain"
    cmp "$message" "$work/plain"
    py encrypt rsa-2048 "$mechanism" "$message" "$work/cipher"
    openssl pkeyutl -decrypt -inkey "$hsm/keys/rsa-2048.pem" "$@" -in "$work/cipher" | cmp - "$message"
}

aes_key=$(grep -v -e ----- "$hsm/keys/aes-256.pem" | openssl base64 -d | od -An -tx1 -v | tr -d ' \n')

aes_cbc_pad() {
    openssl enc -aes-256-cbc -K "$aes_key" -iv "$iv" -in "$message" -out "$work/cipher"
    py decrypt aes-256 "AES_CBC_PAD:$iv" "$work/cipher" "$work/plain"
    cmp "$message" "$work/plain"
}

aes_ecb() {
    head -c 48 "$message" >"$work/blocks"
    openssl enc -aes-256-ecb -nopad -K "$aes_key" -in "$work/blocks" -out "$work/cipher"
    py decrypt aes-256 AES_ECB "$work/cipher" "$work/plain"
    cmp "$work/blocks" "$work/plain"
}

hashes() {
    py digest "$2" "$message" "$work/digest"
    openssl dgst "-$1" -binary "$message" | cmp - "$work/digest"
}

check "lists objects" objects
check "shows no private key before login" py before_login
check "reads attributes of rsa-2048" attributes rsa-2048
check "reads attributes of rsa-cert" attributes rsa-cert
for hash in sha1 sha224 sha256 sha384 sha512; do
    check "signs ${hash^^}_RSA_PKCS" signs "$hash" rsa-2048 "${hash^^}_RSA_PKCS"
    check "signs ${hash^^}_RSA_PKCS_PSS" signs "$hash" rsa-cert "${hash^^}_RSA_PKCS_PSS:$hash" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1
    for key in ec-p256 ec-cert; do
        check "signs ECDSA_${hash^^} with $key" signs_ecdsa "$hash" "$key"
    done
    check "encrypts and decrypts OAEP with ${hash^^}" crypts "RSA_PKCS_OAEP:$hash" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
done
check "signs EDDSA" signs_eddsa
check "encrypts and decrypts RSA_PKCS" crypts RSA_PKCS
check "decrypts AES_CBC_PAD" aes_cbc_pad
check "decrypts AES_ECB" aes_ecb
for hash in sha1:SHA_1 sha224:SHA224 sha256:SHA256 sha384:SHA384 sha512:SHA512; do
    check "hashes with ${hash#*:}" hashes "${hash%:*}" "${hash#*:}"
done
# The page has a virtual environment, the test's is elsewhere; and what verifies.
page() {
    cd "$work"
    cp "$message" data
    mkdir -p venv/bin
    printf '#!/bin/sh\nexec %q "$@"\n' "$python" >venv/bin/python
    chmod +x venv/bin/python
    PATH=$(dirname "$tool"):$PATH follow python python-pkcs11
    openssl dgst -sha256 -verify ec-p256.pub -signature signature data
}

# The ready file, with a key of the other kind and a slot that needs no login.
without_a_pin() {
    sed "s/\"pin\"/\"$pin\"/" "$P11REST_CONFIG" >"$hsm/open.toml"
    chmod 600 "$hsm/open.toml"
    P11REST_CONFIG=$hsm/open.toml "$python" "$F/python-sign.py" "$module" "$token" rsa-2048 <"$message" >"$signature"
    openssl dgst -sha256 -verify "$work/rsa-2048.pub" -signature "$signature" "$message"
}

# Each message is signed by one of four children, the last one by their parent.
forks() {
    local number
    section python "After a fork" python >"$work/forks.py"
    cd "$work"
    "$python" forks.py
    for number in {0..20}; do
        openssl dgst -sha256 -verify rsa-2048.pub -signature "$number.signature" <(printf 'message %d' "$number")
    done
}

check "the page" page
check "the ready file, without a PIN" without_a_pin
check "the page, \"After a fork\"" forks
check "generates random bytes" py random
check "a wrong PIN" py wrong_pin

finish
