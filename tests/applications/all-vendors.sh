#!/bin/bash
# A slot of each vendor in one configuration: OpenSC's pkcs11-tool lists and signs with each, OpenSSL verifies, and
# GnuTLS's p11tool lists what is there while one of them is switched off.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version opensc-tool --info
version p11tool --version
version openssl version

start_emulator tls --vendor all
# The same appliance once more, with the cryptography of the gateway.
luna_with_gateway() {
    sed -e '1,/^$/d' -e 's/^label = "luna"/label = "luna-gateway"/' -e 's/^slot = "ciphertrust"/slot = "gateway"/' \
        "$hsm/luna/p11rest.toml"
}
configure all < <(luna_with_gateway)
vendors=(securosys fast luna ciphertrust gateway vault)
slots=("${vendors[@]}" luna-gateway)

message=$work/message
head -c 100 /dev/urandom >"$message"

# What C_Login takes, a key to sign with, how, and its private key in the folders of the emulators.
declare -A pins=([luna]=$pin:$pin [luna-gateway]=$pin:$pin)
declare -A keys=([fast]=signer-1 [luna]=rsa-2048 [luna-gateway]=rsa-3072)
declare -A mechanisms=([fast]=SHA256-RSA-PKCS [luna]=SHA256-RSA-PKCS [luna-gateway]=SHA256-RSA-PKCS)
declare -A files=([fast]=fast/keys/5401A3F05E7C2B9D1E60 [luna]=ciphertrust/keys/rsa-2048 [luna-gateway]=gateway/keys/rsa-3072
    [vault]=vault/keys/ec-p256%2F1)

lists_slots() {
    local list name
    list=$(pkcs11-tool --module "$module" --list-slots)
    printf '%s\n' "$list"
    for name in "${slots[@]}"; do
        grep -q "token label *: $name\$" <<<"$list"
    done
}
check "lists the slots of all" lists_slots

user() {
    local vendor=$1
    shift
    pkcs11-tool --module "$module" --token-label "$vendor" --login --pin "${pins[$vendor]-$pin}" "$@"
}

# pkcs11-tool 0.23 looks keys up by id alone.
id_of() {
    user "$1" --list-objects --type privkey 2>/dev/null |
        awk -v label="$2" '$1 == "label:" { found = $2 == label } $1 == "ID:" && found { print $2; exit }'
}

signs() {
    local vendor=$1 key=${keys[$1]-ec-p256} mechanism=${mechanisms[$1]-ECDSA-SHA256} form=() signature=$work/signature
    [ "$mechanism" = ECDSA-SHA256 ] && form=(--signature-format openssl)
    rm -f "$signature"
    user "$vendor" --sign --mechanism "$mechanism" "${form[@]}" --id "$(id_of "$vendor" "$key")" \
        --input-file "$message" --output-file "$signature"
    openssl pkey -in "$hsm/${files[$vendor]-$vendor/keys/$key}.pem" -pubout -out "$work/public"
    openssl dgst -sha256 -verify "$work/public" -signature "$signature" "$message"
}

for vendor in "${slots[@]}"; do
    check "$vendor: lists a key" says "label: *${keys[$vendor]-ec-p256}" user "$vendor" --list-objects
    check "$vendor: signs, and OpenSSL verifies" signs "$vendor"
    check "$vendor: a wrong PIN" refused CKR_PIN_INCORRECT \
        pkcs11-tool --module "$module" --token-label "$vendor" --login --pin 4321 --list-objects
done

# Nobody listens at the address of the one that is switched off.
switch_off() {
    local url
    url=$(awk -v vendor="$1" '$1 == vendor { print $2 }' "$hsm/ready")
    sed "s#\"$url\"#\"https://127.0.0.1:1\"#" "$hsm/all.toml" >"$hsm/off.toml"
    chmod 600 "$hsm/off.toml"
    ! cmp -s "$hsm/off.toml" "$hsm/all.toml"
    export P11REST_CONFIG=$hsm/off.toml
}

# without VENDOR: all tokens are there, and the objects that the others show before a login.
without() {
    local list name
    switch_off "$1"
    list=$(p11tool --batch --provider "$module" --list-tokens)
    for name in "${slots[@]}"; do
        grep -q "Label: $name\$" <<<"$list"
    done
    list=$(p11tool --batch --provider "$module" --list-all pkcs11:)
    printf '%s\n' "$list"
    for name in securosys fast; do
        [ "$name" = "$1" ] || grep -q "token=$name;" <<<"$list"
    done
    for name in "${slots[@]}"; do
        # Luna's slots have their cryptography from others.
        case $1/$name in "$name/$name" | ciphertrust/luna | */luna-gateway) continue ;; esac
        list=$(p11tool --batch --provider "$module" --login --set-pin "${pins[$name]-$pin}" --list-all \
            "pkcs11:token=$name")
        grep -q "object=${keys[$name]-ec-p256};type=private" <<<"$list"
    done
}
for vendor in "${vendors[@]}"; do
    check "lists all without $vendor" without "$vendor"
done

finish
