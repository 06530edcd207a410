#!/bin/bash
# p11-kit (0.24): docs/applications/p11-kit.md to the letter, then both kinds of keys through its proxy, in a process of its
# own and behind a socket. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version packaged p11-kit
version openssl version

start_emulator tls
message=$work/data
head -c 5000 /dev/urandom >"$message"
openssl dgst -sha256 -binary -out "$message.sha256" "$message"
ordinary_user
cd "$work"

proxy=$(echo /usr/lib/*/p11-kit-proxy.so)
client=$(echo /usr/lib/*/pkcs11/p11-kit-client.so)

# What the page starts does not stay if a command of it fails. $D is of its first section.
follow_page() {
    "${user[@]}" env D="$home/.config/pkcs11/modules" bash -euo pipefail -c "trap 'p11-kit server --kill || true' ERR; $(section p11-kit "$1")"
}

# lists_the_token HEADING: what the page does last is `p11-kit list-modules`.
lists_the_token() {
    local list
    list=$(follow_page "$1")
    printf '%s\n' "$list"
    grep -q '^    library-description: PKCS#11 in front of REST HSMs$' <<<"$list"
    grep -q "^    token: $token$" <<<"$list"
}

tries_it() {
    local list
    list=$(follow_page "Trying it" 2>&1)
    printf '%s\n' "$list"
    grep -q "^pkcs11:.*token=$token$" <<<"$list"
    [ "$(grep -c 'Type: Private key' <<<"$list")" -eq 5 ]
    [ "$(grep -c 'Type: X.509 Certificate' <<<"$list")" -eq 2 ]
    [ "$(grep -c '\.\.\. ok$' <<<"$list")" -eq 3 ]
    openssl x509 -in "$hsm/keys/ec-cert.crt" -out expected.crt
    openssl x509 -in exported.crt | cmp - expected.crt
}

# signed FILE HEADING: the page signs data with rsa-2048.
signed() {
    follow_page "$2"
    openssl dgst -sha256 -verify rsa-2048.pub -signature "$1" data
}

# tool_through FILE OPTIONS...: pkcs11-tool with another module than ours between them.
tool_through() {
    "${user[@]}" pkcs11-tool --module "$1" --token-label "$token" "${@:2}"
}

# signs_through FILE KEY: RSA with the message, ECDSA with its hash, since p11-kit's pipe knows no CKM_ECDSA_SHA256.
signs_through() {
    local options=(-m SHA256-RSA-PKCS -i "$message") id signature
    [[ $2 == rsa* ]] || options=(-m ECDSA --signature-format openssl -i "$message.sha256")
    id=$(tool_through "$1" --list-objects --type pubkey | sed -n "/label: *$2\$/,/ID:/s/.*ID: *//p")
    signature=$(mktemp -p "$work")
    tool_through "$1" --login --pin "$pin" --sign "${options[@]}" --id "$id" >"$signature"
    openssl dgst -sha256 -verify "$work/$2.pub" -signature "$signature" "$message"
}

# The configuration is in no usual place, and in the .module file.
elsewhere() {
    mv "$home/.config/p11rest" "$home/elsewhere"
    refused 'No slots' tool_through "$proxy" --list-objects
    lists_the_token "The configuration elsewhere"
    signs_through "$proxy" ec-p256
}

# Who asks the server needs neither the module nor its configuration: only the path of the socket.
four_clients() {
    local key clients=()
    rm "$home/.config/pkcs11/modules/p11rest.module"
    eval "$("${user[@]}" p11-kit server --sh --name "$home/p11rest.socket" --provider "$M" "pkcs11:token=$token")"
    trap "kill $P11_KIT_SERVER_PID" EXIT
    unset P11REST_LOG_TARGET P11REST_LOG_LEVEL
    user+=(env HOME=/nonexistent)
    for key in rsa-2048 ec-p256 rsa-cert ec-cert; do
        signs_through "$client" "$key" &
        clients+=($!)
    done
    for key in "${clients[@]}"; do wait "$key"; done
    refused 'CKR_PIN_INCORRECT' tool_through "$client" --login --pin 4321 --list-objects
    signs_through "$client" rsa-2048
}

check "the page, \"Registering the module\"" lists_the_token "Registering the module"
check "the page, \"Trying it\"" tries_it
check "the page, \"p11-kit-proxy\"" signed proxy.signature "p11-kit-proxy"
for key in rsa-cert ec-p256 ec-cert; do
    check "signs with $key through the proxy" signs_through "$proxy" "$key"
done
check "the page, \"The configuration elsewhere\"" elsewhere
mv "$home/elsewhere" "$home/.config/p11rest"
check "the page, \"Registering the module\" again" lists_the_token "Registering the module"
check "the page, \"A process of its own\"" says '\.\.\. ok$' follow_page "A process of its own"
check "signs with the module in a process of its own" signs_through "$proxy" ec-cert
check "the page, \"A socket\"" signed socket.signature "A socket"
check "four clients of a socket at once" four_clients

finish
