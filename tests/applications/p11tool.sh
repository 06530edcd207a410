#!/bin/bash
# GnuTLS's p11tool (3.7): lists, exports and test signatures.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version p11tool --version
version openssl version

start_emulator tls
# GnuTLS 3.7 knows the older encoding of an Edwards point only.
configure gnutls </dev/null
sed -i "/^label = \"$token\"/a edwards_point = \"octet-string\"" "$P11REST_CONFIG"

url="pkcs11:token=$token"

p11() {
    p11tool --batch --provider "$module" "$@"
}

user() {
    p11 --login --set-pin "$pin" "$@"
}

check "lists tokens" says "Label: $token" p11 --list-tokens

mechanisms() {
    local list name
    list=$(p11 --list-mechanisms "$url")
    printf '%s\n' "$list"
    for name in CKM_RSA_PKCS CKM_SHA256_RSA_PKCS CKM_RSA_PKCS_PSS CKM_RSA_PKCS_OAEP CKM_ECDSA CKM_ECDSA_SHA256 CKM_EDDSA \
        CKM_AES_CBC_PAD CKM_AES_GCM CKM_SHA256; do
        grep -q " $name " <<<"$list"
    done
}
check "lists mechanisms" mechanisms

all() {
    local list
    list=$(user --list-all "$url")
    printf '%s\n' "$list"
    [ "$(grep -c 'Type: Private key' <<<"$list")" -eq 5 ]
    [ "$(grep -c 'Type: Public key' <<<"$list")" -eq 5 ]
    [ "$(grep -c 'Type: X.509 Certificate' <<<"$list")" -eq 2 ]
    [ "$(grep -c 'Type: Secret key' <<<"$list")" -eq 1 ]
    grep -q 'Private key (RSA-2048)' <<<"$list"
    grep -q 'Private key (EC/ECDSA-SECP384R1)' <<<"$list"
    grep -q 'Private key (EdDSA (Ed25519))' <<<"$list"
}
check "lists all objects" all

before_login() {
    local list
    list=$(p11 --list-all "$url")
    printf '%s\n' "$list"
    [ "$(grep -c 'Type: Public key' <<<"$list")" -eq 5 ]
    ! grep -q 'Type: Private key\|Type: Secret key' <<<"$list"
}
check "lists public objects before login" before_login

certificates() {
    local list
    list=$(user --list-certs "$url")
    printf '%s\n' "$list"
    [ "$(grep -c 'Type: X.509 Certificate' <<<"$list")" -eq 2 ]
}
check "lists certificates with a private key" certificates

export_certificate() {
    p11 --export "$url;object=$1;type=cert" --outfile "$work/certificate"
    openssl x509 -in "$hsm/keys/$1.crt" -outform DER -out "$work/expected"
    openssl x509 -in "$work/certificate" -outform DER | cmp - "$work/expected"
}

export_public_key() {
    p11 --export "$url;object=$1;type=public" --outfile "$work/public"
    openssl pkey -pubin -in "$work/public" | cmp - "$work/$1.pub"
    user --export-pubkey "$url;object=$1;type=private" --outfile "$work/public"
    openssl pkey -pubin -in "$work/public" | cmp - "$work/$1.pub"
}

# test_sign KEY OPTIONS...: signs, and verifies with both halves of the key.
test_sign() {
    local key=$1 output
    shift
    output=$(user --test-sign "$@" "$url;object=$key;type=private" 2>&1)
    printf '%s\n' "$output"
    [ "$(grep -c '\.\.\. ok$' <<<"$output")" -eq 3 ]
}

for key in rsa-cert ec-cert; do
    check "exports the certificate of $key" export_certificate "$key"
done
for key in rsa-2048 rsa-cert ec-p256 ec-cert ed25519; do
    check "exports the public key $key" export_public_key "$key"
done
for key in rsa-2048 rsa-cert ec-p256 ec-cert; do
    for hash in SHA256 SHA384 SHA512; do
        check "signs with $key and $hash" test_sign "$key" --hash "$hash"
    done
done
for hash in SHA256 SHA384 SHA512; do
    check "signs with rsa-2048, PSS and $hash" test_sign rsa-2048 --sign-params RSA-PSS --hash "$hash"
done
check "signs with ed25519" test_sign ed25519 --hash SHA512

check "a wrong PIN" refused 'PIN' p11 --login --set-pin 4321 --list-privkeys "$url"

# It asks for random bytes without a login: of a slot that needs none. The key in a file of the owner's alone.
configure open </dev/null
sed -i "s/key_operation = \"pin\"/key_operation = \"$pin\"/" "$P11REST_CONFIG"
random() {
    [ "$(p11 --generate-random 32 "$url" --outfile "$work/random" && wc -c <"$work/random")" -eq 32 ]
}
check "generates random bytes" random
check "lists all objects of a slot without login" says 'Private key (RSA-2048)' p11 --list-privkeys "$url"

finish
