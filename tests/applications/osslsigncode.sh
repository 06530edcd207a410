#!/bin/bash
# osslsigncode, as docs/applications/osslsigncode.md has it: it signs a Windows program by the HSM. It verifies by itself without the
# module; the digest that was signed is that of Python, and OpenSSL verifies the signature.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version osslsigncode -v
version packaged libengine-pkcs11-openssl
version openssl version

start_emulator tls
configure_for_engine osslsigncode
cd "$work"

pe_file() {
    python3 "$root/tests/applications/pe_file.py" "$@"
}

pe_file make program.exe

# sign KEY HASH FILE [PIN]
sign() {
    rm -f "$3"
    osslsigncode sign -pkcs11module "$module" -certs "$hsm/keys/$1.crt" -h "$2" -in program.exe -out "$3" \
        -key "pkcs11:token=$token;object=$1;type=private;pin-value=${4:-$pin}"
}

# content: what signature.p7 is over. Authenticode has a SEQUENCE in the place of an OCTET STRING, of which all but the head is hashed;
# OpenSSL finds the latter only.
content() {
    local start head length
    read -r start head length < <(openssl asn1parse -in signature.p7 |
        sed -n 's/^ *\([0-9]*\):d=5 *hl=\([0-9]*\) l= *\([0-9]*\) cons: SEQUENCE.*/\1 \2 \3/p')
    openssl pkcs7 -in signature.p7 -outform DER >signature.der
    tail -c +$((start + head + 1)) signature.der | head -c "$length" >content
}

# right KEY HASH FILE: signed by KEY, and over the program as it is.
right() {
    local digest
    digest=$(pe_file digest program.exe "$2")
    [ "$digest" = "$(pe_file digest "$3" "$2")" ]
    says 'Signature verification: ok' osslsigncode verify -CAfile "$hsm/keys/$1.crt" -in "$3"
    # What is signed: the attributes, with the digest of the content, which has the digest of the program.
    rm -f signature.p7
    osslsigncode extract-signature -pem -in "$3" -out signature.p7
    openssl pkcs7 -in signature.p7 -print_certs -out shown.crt
    cmp <(openssl x509 -in shown.crt -outform DER) <(openssl x509 -in "$hsm/keys/$1.crt" -outform DER)
    content
    openssl smime -verify -inform PEM -in signature.p7 -binary -content content -CAfile "$hsm/keys/$1.crt" -purpose any -out /dev/null
    od -An -v -tx1 content | tr -d ' \n' | grep -q "$digest"
}

signs() {
    sign "$1" "$2" signed.exe
    right "$1" "$2" signed.exe
}

changed() {
    sign rsa-cert sha256 signed.exe
    # A byte of the code.
    printf '\x90' | dd of=signed.exe bs=1 seek=512 conv=notrunc status=none
    refused 'Calculated.*MISMATCH' osslsigncode verify -CAfile "$hsm/keys/rsa-cert.crt" -in signed.exe
}

check "the page, \"Signing\"" follow osslsigncode Signing
check "the page, \"Verifying\"" follow osslsigncode Verifying
check "the certificate from a file" right rsa-cert sha256 signed.exe
check "the certificate from the token" right rsa-cert sha256 signed-2.exe
for key in rsa-cert ec-cert; do
    for hash in sha256 sha384; do
        check "signs with $key and $hash" signs "$key" "$hash"
    done
done
check "a program that was changed" changed
check "a wrong PIN" refused 'PIN incorrect' sign rsa-cert sha256 refused.exe 4321

finish
