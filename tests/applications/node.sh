#!/bin/bash
# Node.js: what the small applications node/pkcs11js.js and node/graphene.js do with pkcs11js and graphene-pk11. OpenSSL has
# the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version env NODE_PATH="$node_modules" node -p '
    const of = name => `, ${name} ${require(name + "/package.json").version}`;
    "Node.js " + process.version + of("pkcs11js") + of("graphene-pk11")'
version openssl version

start_emulator tls
export NODE_PATH=$node_modules

message=$work/message
head -c 60 /dev/urandom >"$message"
signature=$work/signature

js() {
    node "$root/tests/applications/node/$1.js" "${@:2}"
}

# PKCS#11 has r and s side by side, OpenSSL in a SEQUENCE.
sequence() {
    local hex half
    hex=$(od -An -tx1 -v "$1" | tr -d ' \n')
    half=$((${#hex} / 2))
    openssl asn1parse -noout -out "$1" -genconf <(
        printf 'asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${hex:0:half}" "${hex:half}"
    )
}

# signs PACKAGE KEY MECHANISM HASH OPTIONS-OF-DGST...
signs() {
    local file
    js "$1" sign "$2" "$3" "$message" "$signature"
    for file in "$signature" "$signature.parts"; do
        [[ $2 != ec-* ]] || sequence "$file"
        openssl dgst "-$4" "${@:5}" -verify "$work/$2.pub" -signature "$file" "$message"
    done
}

pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1)
oaep=(-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256)

lists() {
    local list
    list=$(js pkcs11js objects)
    printf '%s\n' "$list"
    [ "$(wc -l <<<"$list")" -eq 13 ]
    # CKO_PRIVATE_KEY is 3, CKO_CERTIFICATE 1. A certificate has the id of its key.
    grep -q '^3 ed25519 ' <<<"$list"
    [ "$(awk '$2 == "ec-cert" { print $3 }' <<<"$list" | uniq -c | awk '{ print $1 }')" -eq 3 ]
}

reads_a_certificate() {
    js pkcs11js certificate rsa-cert "$work/certificate"
    openssl x509 -in "$hsm/keys/rsa-cert.crt" -outform DER | cmp - "$work/certificate"
}

# crypts MECHANISM OPTIONS-OF-PKEYUTL...: OpenSSL encrypts and the HSM decrypts, the module encrypts and OpenSSL decrypts.
crypts() {
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa-2048.pub" "${@:2}" -in "$message" -out "$work/cipher"
    js pkcs11js decrypt rsa-2048 "$1" "$work/cipher" "$work/plain"
    cmp "$message" "$work/plain"
    js pkcs11js encrypt rsa-2048 "$1" "$message" "$work/cipher"
    openssl pkeyutl -decrypt -inkey "$hsm/keys/rsa-2048.pem" "${@:2}" -in "$work/cipher" | cmp - "$message"
}

asynchronous() {
    local number
    mkdir "$work/asynchronous"
    js pkcs11js asynchronous rsa-2048 8 10 "$work/asynchronous"
    for number in {0..79}; do
        openssl dgst -sha256 -verify "$work/rsa-2048.pub" -signature "$work/asynchronous/$number.signature" \
            "$work/asynchronous/$number" >/dev/null
    done
}

graphene_lists() {
    local list
    list=$(js graphene objects)
    printf '%s\n' "$list"
    [ "$(wc -l <<<"$list")" -eq 13 ]
    grep -q '^PRIVATE_KEY ec-p256$' <<<"$list"
    grep -q '^CERTIFICATE rsa-cert$' <<<"$list"
}

graphene_decrypts() {
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa-2048.pub" "${oaep[@]}" -in "$message" -out "$work/cipher"
    js graphene decrypt rsa-2048 RSA_PKCS_OAEP "$work/cipher" "$work/plain"
    cmp "$message" "$work/plain"
    openssl pkeyutl -decrypt -inkey "$hsm/keys/rsa-2048.pem" "${oaep[@]}" -in "$work/plain.cipher" | cmp - "$message"
}

graphene_hashes() {
    js graphene digest SHA256 "$message" "$work/digest"
    openssl dgst -sha256 -binary "$message" | cmp - "$work/digest"
}

page_of_pkcs11js() {
    section node pkcs11js js >"$work/page.js"
    cd "$work"
    cp "$message" data
    node page.js
    sequence signature
    openssl dgst -sha256 -verify ec-p256.pub -signature signature data
}

page_of_graphene() {
    cd "$work"
    cp "$message" data
    PATH=$(dirname "$tool"):$PATH follow node graphene-pk11
    openssl dgst -sha256 -verify rsa-2048.pub -signature signature data
}

# The ready file, with a key of the other kind and a slot that needs no login.
without_a_pin() {
    sed "s/\"pin\"/\"$pin\"/" "$P11REST_CONFIG" >"$hsm/open.toml"
    chmod 600 "$hsm/open.toml"
    P11REST_CONFIG=$hsm/open.toml node "$F/node-sign.js" "$module" "$token" ec-p256 <"$message" >"$signature"
    sequence "$signature"
    openssl dgst -sha256 -verify "$work/ec-p256.pub" -signature "$signature" "$message"
}

check "pkcs11js: the page" page_of_pkcs11js
check "graphene-pk11: the page" page_of_graphene
check "graphene-pk11: the ready file, without a PIN" without_a_pin
check "pkcs11js: lists objects" lists
check "pkcs11js: shows no private key before login" js pkcs11js before_login
check "pkcs11js: reads a certificate" reads_a_certificate
check "pkcs11js: signs CKM_SHA256_RSA_PKCS" signs pkcs11js rsa-2048 CKM_SHA256_RSA_PKCS sha256
check "pkcs11js: signs CKM_SHA384_RSA_PKCS_PSS" signs pkcs11js rsa-cert CKM_SHA384_RSA_PKCS_PSS sha384 "${pss[@]}"
check "pkcs11js: signs CKM_ECDSA_SHA256" signs pkcs11js ec-p256 CKM_ECDSA_SHA256 sha256
check "pkcs11js: encrypts and decrypts CKM_RSA_PKCS" crypts CKM_RSA_PKCS
check "pkcs11js: encrypts and decrypts CKM_RSA_PKCS_OAEP" crypts CKM_RSA_PKCS_OAEP "${oaep[@]}"
check "pkcs11js: signs asynchronously, eight at once" asynchronous
check "pkcs11js: generates random bytes" js pkcs11js random
check "pkcs11js: a wrong PIN" js pkcs11js wrong_pin
check "graphene-pk11: lists objects" graphene_lists
check "graphene-pk11: signs SHA256_RSA_PKCS" signs graphene rsa-2048 SHA256_RSA_PKCS sha256
check "graphene-pk11: signs SHA256_RSA_PKCS_PSS" signs graphene rsa-cert SHA256_RSA_PKCS_PSS sha256 "${pss[@]}"
check "graphene-pk11: signs ECDSA_SHA384" signs graphene ec-cert ECDSA_SHA384 sha384
check "graphene-pk11: decrypts RSA_PKCS_OAEP" graphene_decrypts
check "graphene-pk11: hashes" graphene_hashes

finish
