#!/bin/bash
# OpenSC's pkcs11-tool (0.23): lists, its own test, and every mechanism, over TLS. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version opensc-tool --info
version openssl version

start_emulator tls
# The API leaves the size of an AES key open; what pkcs11-tool shows of it comes from here.
configure sized <<'TOML'
[[slot.key]]
label = "aes-256"
type = "aes-256"
TOML

message=$work/message
head -c 100 /dev/urandom >"$message"
iv=000102030405060708090a0b0c0d0e0f

p11() {
    pkcs11-tool --module "$module" "$@"
}

user() {
    p11 --login --pin "$pin" "$@"
}

# pkcs11-tool 0.23 looks keys up by id alone.
id_of() {
    user --list-objects --type "$1" 2>/dev/null |
        awk -v label="$2" '$1 == "label:" { found = $2 == label } $1 == "ID:" && found { print $2; exit }'
}

# SHA-1 is the one name with a dash.
hash_name() {
    case $1 in sha1) echo SHA-1 ;; *) echo "${1^^}" ;; esac
}

declare -A id
for name in rsa-2048 rsa-cert ec-p256 ec-cert ed25519; do
    id[$name]=$(id_of privkey "$name")
done
id[aes-256]=$(id_of secrkey aes-256)

page() {
    cd "$work"
    cp "$message" data
    says 'Private Key Object' follow opensc "Looking"
    follow opensc "Signing"
    openssl dgst -sha256 -verify ec-p256.pub -signature signature data
    says 'Key pair generated' follow opensc "Making and deleting keys"
    [ "$(user --list-objects 2>/dev/null | grep -c 'label: *new-')" -eq 0 ]
}
check "the page" page

certificates() {
    local file="$hsm/aliases.json"
    cd "$work"
    export ID=${id[ec-p256]}
    says 'Created certificate' follow opensc "Certificates on the token"
    openssl x509 -in web.crt -outform DER | cmp - read.der
    if user --list-objects --type cert | grep ec-p256; then return 1; fi
    # A label of its own is for the file; without one nothing happens.
    refused CKR_ATTRIBUTE_VALUE_INVALID user --write-object web.crt --type cert --id "$ID" --label web
    configure aliases <<<"[slot.catalog]"$'\n'"aliases = \"$file\""
    user --write-object web.crt --type cert --id "$ID" --label web
    grep -q '"label":"web"' "$file"
    user --read-object --type cert --label web -o read.der
    openssl x509 -in web.crt -outform DER | cmp - read.der
    user --delete-object --type cert --label web
    if grep web "$file"; then return 1; fi
}
check "certificates on the token" certificates

slots() {
    says "token label *: $token" p11 --list-slots
}
check "lists slots" slots

mechanisms() {
    local list name
    list=$(p11 --list-mechanisms)
    printf '%s\n' "$list"
    for name in RSA-PKCS {,SHA{1,224,256,384,512}-}RSA-PKCS{,-PSS} RSA-PKCS-OAEP ECDSA{,-SHA{1,224,256,384,512}} \
        EDDSA AES-{ECB,CBC,CBC-PAD,CTR,GCM} SHA-1 SHA{224,256,384,512} SHA3-{224,256,384,512}; do
        grep -q "^  $name," <<<"$list"
    done
}
check "lists mechanisms" mechanisms

check "lists interfaces" says "version: 3.2" p11 --list-interfaces

# What may be seen before login depends on which secret is the PIN: here it is the one for operations.
public_objects() {
    local list
    list=$(p11 --list-objects)
    printf '%s\n' "$list"
    [ "$(grep -c '^Public Key Object' <<<"$list")" -eq 5 ]
    [ "$(grep -c '^Certificate Object' <<<"$list")" -eq 2 ]
    ! grep -q 'Private Key Object\|Secret Key Object' <<<"$list"
}
check "lists public objects before login" public_objects

# CKA_VALUE of a secret key is asked for, and refused: the one warning that is left.
all_objects() {
    local list
    list=$(user --list-objects 2>&1)
    printf '%s\n' "$list"
    [ "$(grep -c '^Public Key Object' <<<"$list")" -eq 5 ]
    [ "$(grep -c '^Private Key Object' <<<"$list")" -eq 5 ]
    [ "$(grep -c '^Certificate Object' <<<"$list")" -eq 2 ]
    grep -q '^Secret Key Object; AES length 32' <<<"$list"
    ! grep -i 'warning\|error' <<<"$list" | grep -v 'C_GetAttributeValue(VALUE) failed: rv = CKR_ATTRIBUTE_SENSITIVE'
}
check "lists all objects after login" all_objects

# "not supported" is said of C_SeedRandom and of OAEP with a label: the HSM has neither.
own_test() {
    local output
    output=$(user --test 2>&1)
    printf '%s\n' "$output"
    [ "$(tail -n 1 <<<"$output")" = "No errors" ]
    [ "$(grep -c 'RSA-PKCS: OK' <<<"$output")" -ge 7 ]
    [ "$(grep -c 'not supported' <<<"$output")" -eq 3 ]
    ! grep -v '^No errors$' <<<"$output" | grep -i 'err\|warn\|fail\|incorrect\|CKR_'
}
check "its own test" own_test

check "a wrong PIN" refused CKR_PIN_INCORRECT p11 --login --pin 4321 --list-objects
check "a child process initialises anew" says "Calling C_Initialize in forked child" p11 --test-fork
check "threads" says "all threads have ended with CKR_OK" \
    p11 --test-threads P1GISLT --test-threads P1GISLT --test-threads P1GISLT

# sign MECHANISM KEY INPUT PKCS11-TOOL-OPTIONS...: the signature goes to $work/signature.
sign() {
    local mechanism=$1 key=$2 input=$3
    shift 3
    rm -f "$work/signature"
    user --sign -m "$mechanism" --id "${id[$key]}" -i "$input" -o "$work/signature" "$@"
}

# pkcs11-tool verifies what it signed, and not what it did not sign.
verify() {
    local mechanism=$1 key=$2 input=$3
    shift 3
    says '^Signature is valid' \
        user --verify -m "$mechanism" --id "${id[$key]}" -i "$input" --signature-file "$work/signature" "$@"
    head -c "$(wc -c <"$input")" /dev/urandom >"$work/other"
    ! says '^Signature is valid' \
        user --verify -m "$mechanism" --id "${id[$key]}" -i "$work/other" --signature-file "$work/signature" "$@"
}

digest() {
    openssl dgst "-$1" -binary -out "$work/digest" "$message"
}

openssl_verify() {
    local hash=$1 key=$2
    shift 2
    openssl dgst "-$hash" -verify "$work/$key.pub" "$@" -signature "$work/signature" "$message"
}

rsa_pkcs_message() {
    sign "${1^^}-RSA-PKCS" "$2" "$message"
    openssl_verify "$1" "$2"
    verify "${1^^}-RSA-PKCS" "$2" "$message"
}

# CKM_RSA_PKCS takes a DigestInfo.
rsa_pkcs_digest_info() {
    digest "$1"
    openssl asn1parse -noout -out "$work/info" -genconf <(
        printf 'asn1=SEQUENCE:info\n[info]\nalgorithm=SEQUENCE:algorithm\ndigest=FORMAT:HEX,OCTETSTRING:%s\n' \
            "$(od -An -tx1 -v "$work/digest" | tr -d ' \n')"
        printf '[algorithm]\nid=OID:%s\nparameters=NULL\n' "$1"
    )
    sign RSA-PKCS "$2" "$work/info"
    openssl_verify "$1" "$2"
    verify RSA-PKCS "$2" "$work/info"
}

# CKM_RSA_PKCS of any bytes.
rsa_pkcs_bytes() {
    sign RSA-PKCS "$1" "$message"
    openssl pkeyutl -verifyrecover -pubin -inkey "$work/$1.pub" -in "$work/signature" | cmp - "$message"
    verify RSA-PKCS "$1" "$message"
}

rsa_pss_message() {
    sign "${1^^}-RSA-PKCS-PSS" "$2" "$message"
    openssl_verify "$1" "$2" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -sigopt "rsa_mgf1_md:$1"
    verify "${1^^}-RSA-PKCS-PSS" "$2" "$message"
}

rsa_pss_digest() {
    local options=(--hash-algorithm "$(hash_name "$1")" --mgf "MGF1-${1^^}")
    digest "$1"
    sign RSA-PKCS-PSS "$2" "$work/digest" "${options[@]}"
    openssl_verify "$1" "$2" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -sigopt "rsa_mgf1_md:$1"
    verify RSA-PKCS-PSS "$2" "$work/digest" "${options[@]}"
}

# The API takes no SHA-1 digest for PSS, only the message.
rsa_pss_sha1_digest() {
    digest sha1
    refused CKR_MECHANISM_PARAM_INVALID \
        sign RSA-PKCS-PSS rsa-2048 "$work/digest" --hash-algorithm SHA-1 --mgf MGF1-SHA1
}

ecdsa_message() {
    sign "ECDSA-${1^^}" "$2" "$message" --signature-format openssl
    openssl_verify "$1" "$2"
    sign "ECDSA-${1^^}" "$2" "$message"
    verify "ECDSA-${1^^}" "$2" "$message"
}

ecdsa_digest() {
    digest "$1"
    sign ECDSA "$2" "$work/digest" --signature-format openssl
    openssl_verify "$1" "$2"
    sign ECDSA "$2" "$work/digest"
    verify ECDSA "$2" "$work/digest"
}

eddsa() {
    sign EDDSA ed25519 "$message"
    openssl pkeyutl -verify -pubin -inkey "$work/ed25519.pub" -rawin -in "$message" -sigfile "$work/signature"
    verify EDDSA ed25519 "$message"
}

hashes=(sha1 sha224 sha256 sha384 sha512)
for hash in "${hashes[@]}"; do
    check "signs ${hash^^}-RSA-PKCS" rsa_pkcs_message "$hash" rsa-2048
    check "signs RSA-PKCS of a DigestInfo with ${hash^^}" rsa_pkcs_digest_info "$hash" rsa-2048
    check "signs ${hash^^}-RSA-PKCS-PSS" rsa_pss_message "$hash" rsa-2048
    if [ "$hash" = sha1 ]; then
        check "refuses RSA-PKCS-PSS of a SHA-1 digest" rsa_pss_sha1_digest
    else
        check "signs RSA-PKCS-PSS with ${hash^^}" rsa_pss_digest "$hash" rsa-2048
    fi
    for key in ec-p256 ec-cert; do
        check "signs ECDSA-${hash^^} with $key" ecdsa_message "$hash" "$key"
        check "signs ECDSA of a ${hash^^} digest with $key" ecdsa_digest "$hash" "$key"
    done
done
check "signs RSA-PKCS of any bytes" rsa_pkcs_bytes rsa-2048
check "signs SHA256-RSA-PKCS with rsa-cert" rsa_pkcs_message sha256 rsa-cert
check "signs SHA384-RSA-PKCS-PSS with rsa-cert" rsa_pss_message sha384 rsa-cert
check "signs EDDSA" eddsa

hash_of() {
    user --hash -m "$2" -i "$message" -o "$work/hash"
    openssl dgst "-$1" -binary "$message" | cmp - "$work/hash"
}
for hash in "${hashes[@]}"; do
    check "hashes with $(hash_name "$hash")" hash_of "$hash" "$(hash_name "$hash")"
done
for bits in 224 256 384 512; do
    check "hashes with SHA3-$bits" hash_of "sha3-$bits" "SHA3-$bits"
done

# decrypts MECHANISM KEY PLAIN PKCS11-TOOL-OPTIONS...: of $work/cipher.
decrypts() {
    local mechanism=$1 key=$2 plain=$3
    shift 3
    rm -f "$work/plain"
    user --decrypt -m "$mechanism" --id "${id[$key]}" -i "$work/cipher" -o "$work/plain" "$@"
    cmp "$plain" "$work/plain"
}

rsa_decrypt() {
    openssl pkeyutl -encrypt -pubin -inkey "$work/$1.pub" -in "$message" -out "$work/cipher"
    decrypts RSA-PKCS "$1" "$message"
}

rsa_oaep_decrypt() {
    openssl pkeyutl -encrypt -pubin -inkey "$work/$2.pub" -in "$message" -out "$work/cipher" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$1" -pkeyopt "rsa_mgf1_md:$1"
    decrypts RSA-PKCS-OAEP "$2" "$message" --hash-algorithm "$(hash_name "$1")" --mgf "MGF1-${1^^}"
}

check "decrypts RSA-PKCS" rsa_decrypt rsa-2048
for hash in "${hashes[@]}"; do
    check "decrypts RSA-PKCS-OAEP with ${hash^^}" rsa_oaep_decrypt "$hash" rsa-cert
done

aes_key=$(grep -v -e ----- "$hsm/keys/aes-256.pem" | openssl base64 -d | od -An -tx1 -v | tr -d ' \n')
blocks=$work/blocks
head -c 96 "$message" >"$blocks"

aes_cbc() {
    openssl enc -aes-256-cbc -nopad -K "$aes_key" -iv "$iv" -in "$blocks" -out "$work/cipher"
    decrypts AES-CBC aes-256 "$blocks" --iv "$iv"
}
check "decrypts AES-CBC" aes_cbc

aes_cbc_pad() {
    openssl enc -aes-256-cbc -K "$aes_key" -iv "$iv" -in "$message" -out "$work/cipher"
    decrypts AES-CBC-PAD aes-256 "$message" --iv "$iv"
}
check "decrypts AES-CBC-PAD" aes_cbc_pad

aes_ecb() {
    openssl enc -aes-256-ecb -nopad -K "$aes_key" -in "$blocks" -out "$work/cipher"
    decrypts AES-ECB aes-256 "$blocks"
    user --encrypt -m AES-ECB --id "${id[aes-256]}" -i "$blocks" -o "$work/encrypted"
    cmp "$work/cipher" "$work/encrypted"
}
check "encrypts and decrypts AES-ECB" aes_ecb

# The server chooses the IV: no CBC encryption.
aes_cbc_encrypt() {
    refused 'AES-CBC-PAD' user --encrypt -m AES-CBC-PAD --id "${id[aes-256]}" --iv "$iv" -i "$message"
}
check "refuses to encrypt AES-CBC-PAD" aes_cbc_encrypt

read_certificate() {
    p11 --read-object --type cert --label "$1" -o "$work/certificate"
    openssl x509 -in "$hsm/keys/$1.crt" -outform DER | cmp - "$work/certificate"
}
check "reads the certificate of rsa-cert" read_certificate rsa-cert
check "reads the certificate of ec-cert" read_certificate ec-cert

read_public_key() {
    p11 --read-object --type pubkey --label "$1" -o "$work/public"
    openssl pkey -pubin -in "$work/public" -inform "$2" -outform DER -out "$work/public.der"
    openssl pkey -pubin -in "$work/$1.pub" -outform DER | cmp - "$work/public.der"
}
# Not ec-cert: this version cannot put a key on P-384 into OpenSSL's hands, whatever the module.
for key in rsa-2048 rsa-cert ec-p256; do
    check "reads the public key $key" read_public_key "$key" DER
done

# This version knows the older encoding of an Edwards point only, and then writes PEM.
configure older <<<'' && sed -i '/^label = "securosys"/a edwards_point = "octet-string"' "$P11REST_CONFIG"
check "reads the public key ed25519" read_public_key ed25519 PEM

# makes KEY-TYPE LABEL HASH: a pair whose signature OpenSSL verifies with the public key of the HSM's own.
makes() {
    user --keypairgen --key-type "$1" --label "$2" --usage-sign
    local made
    made=$(id_of privkey "$2")
    openssl pkey -in "$hsm/keys/$2.pem" -pubout -out "$work/$2.pub"
    if [ "$3" = ecdsa ]; then
        user --sign -m ECDSA-SHA256 --signature-format openssl --id "$made" -i "$message" -o "$work/signature"
    else
        user --sign -m SHA256-RSA-PKCS --id "$made" -i "$message" -o "$work/signature"
    fi
    openssl_verify sha256 "$2"
}
check "makes an RSA key" makes rsa:3072 made-rsa pkcs
check "makes an EC key" makes EC:secp384r1 made-ec ecdsa

makes_aes() {
    user --keygen --key-type AES:32 --label made-aes
    user --list-objects --type secrkey 2>/dev/null | grep -A1 'made-aes'
    [ -e "$hsm/keys/made-aes.pem" ]
}
check "makes an AES key" makes_aes

taken() {
    refused CKR_ATTRIBUTE_VALUE_INVALID user --keypairgen --key-type EC:secp256r1 --label made-ec --usage-sign
}
check "does not make a key whose label is taken" taken

deletes() {
    user --delete-object --type "$1" --label "$2"
    [ ! -e "$hsm/keys/$2.pem" ]
    ! user --list-objects 2>/dev/null | grep "$2"
}
check "deletes an RSA key" deletes privkey made-rsa
check "deletes an EC key" deletes privkey made-ec
check "deletes an AES key" deletes secrkey made-aes

random() {
    user --generate-random 64 -o "$work/first"
    user --generate-random 64 -o "$work/second"
    [ "$(wc -c <"$work/first")" -eq 64 ]
    ! cmp -s "$work/first" "$work/second"
}
check "generates random bytes" random

finish
