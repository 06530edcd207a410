#!/bin/bash
# The cryptoki crate: examples/sign.rs signs, OpenSSL verifies. What else the crate does with the module is tested with every
# vendor in tests/contract/cryptoki_crate.rs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version rustc --version
version sed -n '/^name = "cryptoki"$/{n;s/version = /cryptoki /p}' "$root/Cargo.lock"
version openssl version

# `make unit` has built it already.
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" -p p11rest --example sign
sign=${CARGO_TARGET_DIR:-$root/target}/debug/examples/sign

start_emulator tls

message=$work/message
head -c 3000 /dev/urandom >"$message"

signs_with() {
    PIN=$pin "$sign" "$module" "$token" "$1" <"$message" >"$work/signature" 2>"$work/keys"
    [ "$(wc -l <"$work/keys")" -eq 5 ]
    grep -q "^$1$" "$work/keys"
}

rsa() {
    signs_with "$1"
    openssl dgst -sha256 -verify "$work/$1.pub" -signature "$work/signature" "$message"
}

# OpenSSL wants r and s in a SEQUENCE.
ec() {
    local hex half
    signs_with "$1"
    hex=$(od -An -tx1 -v "$work/signature" | tr -d ' \n')
    half=$((${#hex} / 2))
    openssl asn1parse -noout -out "$work/sequence" -genconf <(
        printf 'asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${hex:0:half}" "${hex:half}"
    )
    openssl dgst -sha256 -verify "$work/$1.pub" -signature "$work/sequence" "$message"
}

page() {
    cd "$work"
    cp "$message" data
    # What its package needs, p11rest has fetched.
    export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$scratch/target
    export P11REST_MODULE=$module P11REST_PIN=$pin PATH=${tool%/*}:$PATH
    follow rust "Signing"
    openssl dgst -sha256 -verify rsa-2048.pub -signature signature data
}

wrong_pin() {
    PIN=4321 refused 'PIN is incorrect\|PinIncorrect' "$sign" "$module" "$token" rsa-2048
}

check "the page, \"Signing\"" page
for key in rsa-2048 rsa-cert; do check "signs with $key" rsa "$key"; done
for key in ec-p256 ec-cert; do check "signs with $key" ec "$key"; done
check "a wrong PIN" wrong_pin

finish
