#!/bin/bash
# XML signatures by xmlsec1, OpenSSL's engine and the HSM, as docs/applications/xmlsec.md has it. xmlsec1 verifies without the module.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version xmlsec1 --version
version packaged libengine-pkcs11-openssl
version openssl version

start_emulator tls
configure_for_engine xmlsec
cd "$work"

# method NAME: the template with another method to sign.
method() {
    sed "s/#rsa-sha256/#$1/" "$F/xmlsec-template.xml"
}

# signs KEY METHOD
signs() {
    method "$2" >template.xml
    rm -f signed.xml
    OPENSSL_CONF=engine.cnf "$F/xmlsec-sign.py" template.xml \
        "pkcs11:token=$token;object=$1;type=private;pin-value=$pin" "$hsm/keys/$1.crt" signed.xml
    # The certificate in it is the key's; nothing else is trusted.
    says '^OK' verified "$1"
}

verified() {
    xmlsec1 --verify --trusted-pem "$hsm/keys/$1.crt" signed.xml 2>&1
}

changed() {
    sed -i 's/12\.50/92.50/' signed.xml
    refused 'FAIL' verified ec-cert
}

somebody_else() {
    signs rsa-cert rsa-sha256
    refused 'failed to verify' verified ec-cert
}

# What is signed is the element with that ID: without the option xmlsec1 does not know it, and a change in it shows.
a_part() {
    local verify=(xmlsec1 --verify --trusted-pem "$hsm/keys/rsa-cert.crt")
    local id=(--id-attr:ID urn:oasis:names:tc:SAML:2.0:assertion:Assertion)
    says '^OK' follow xmlsec "A part of the document, as in SAML"
    grep -q 'URI="#a1"' signed-assertion.xml
    refused 'xpointer' "${verify[@]}" signed-assertion.xml
    sed -i 's/12\.50/92.50/' signed-assertion.xml
    refused '^FAIL' "${verify[@]}" "${id[@]}" signed-assertion.xml
}

# As the page says, and the reason for the script. If this fails, a newer xmlsec1 is there and the page is to be changed.
by_itself() {
    method "$2" >template.xml
    OPENSSL_CONF=engine.cnf refused "$3" xmlsec1 --sign --output refused.xml --privkey-openssl-engine \
        "pkcs11;pkcs11:token=$token;object=$1;type=private;pin-value=$pin,$hsm/keys/$1.crt" template.xml
}

check "the page, \"Signing\"" follow xmlsec Signing
check "the page, \"Verifying\"" follow xmlsec Verifying
check "the page, \"A part of the document, as in SAML\"" a_part
for hash in sha256 sha384 sha512; do
    check "rsa-$hash" signs rsa-cert "rsa-$hash"
    check "ecdsa-$hash" signs ec-cert "ecdsa-$hash"
done
check "a document that was changed" changed
check "the certificate of somebody else" somebody_else
check "xmlsec1 by itself, with an RSA key" by_itself rsa-cert rsa-sha256 'key is not found'
check "xmlsec1 by itself, with an EC key" by_itself ec-cert ecdsa-sha256 'EVP_PKEY_get_bn_param'

finish
