#!/bin/bash
# Java's SunPKCS11 provider, where a JDK is installed: keytool, and the small application Pkcs11Signer.java.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if ! command -v javac >/dev/null || ! command -v keytool >/dev/null; then
    echo "java: not checked, there is no JDK"
    finished=yes
    [ -z "$tally" ] || echo "0 0" >>"$tally"
    exit 0
fi

start_emulator tls

message=$work/message
head -c 3000 /dev/urandom >"$message"

cat >"$work/provider.cfg" <<CFG
name = p11rest
library = $module
slotListIndex = 0
CFG

keystore() {
    keytool "$@" -keystore NONE -storetype PKCS11 -storepass "$pin" \
        -providerClass sun.security.pkcs11.SunPKCS11 -providerArg "$work/provider.cfg"
}

# SunPKCS11 shows a private key only if there is a certificate with its id.
list() {
    local list
    list=$(keystore -list)
    printf '%s\n' "$list"
    grep -q '^rsa-cert, PrivateKeyEntry' <<<"$list"
    grep -q '^ec-cert, PrivateKeyEntry' <<<"$list"
    grep -q '^aes-256, SecretKeyEntry' <<<"$list"
}

# request KEY: signed by the key, for its own public key.
request() {
    keystore -certreq -alias "$1" -file "$work/$1.csr"
    says 'verify OK' openssl req -in "$work/$1.csr" -noout -verify
    openssl req -in "$work/$1.csr" -noout -pubkey | cmp - "$work/$1.pub"
}

javac -d "$work/classes" "$root/tests/applications/Pkcs11Signer.java"

signer() {
    java -cp "$work/classes" Pkcs11Signer "$1" "$work/provider.cfg" "${@:2}"
}

# signs KEY ALGORITHM HASH OPTIONS-OF-DGST...
signs() {
    local key=$1 algorithm=$2 hash=$3
    shift 3
    signer sign "$key" "$algorithm" "$message" "$work/signature"
    openssl dgst "-$hash" "$@" -verify "$work/$key.pub" -signature "$work/signature" "$message"
}

decrypts() {
    head -c 40 "$message" >"$work/plain"
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa-cert.pub" -in "$work/plain" -out "$work/cipher"
    signer decrypt rsa-cert RSA/ECB/PKCS1Padding "$work/cipher" "$work/content"
    cmp "$work/plain" "$work/content"
}

check "keytool -list" list
for key in rsa-cert ec-cert; do
    check "keytool -certreq with $key" request "$key"
done
for hash in sha1 sha224 sha256 sha384 sha512; do
    check "signs ${hash^^}withRSA" signs rsa-cert "${hash^^}withRSA" "$hash"
    check "signs ${hash^^}withECDSA" signs ec-cert "${hash^^}withECDSA" "$hash"
done
for hash in 256 512; do
    check "signs RSASSA-PSS with SHA-$hash" \
        signs rsa-cert "PSS-SHA-$hash" "sha$hash" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1
done
check "decrypts RSA/ECB/PKCS1Padding" decrypts

finish
