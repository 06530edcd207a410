#!/bin/bash
# p11-kit (0.24): the module registered by a .module file, through p11-kit-proxy, in a process of its own, and behind a socket.
# OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

start_emulator tls
ordinary_user

url="pkcs11:token=$token"
proxy=$(echo /usr/lib/*/p11-kit-proxy.so)
client=$(echo /usr/lib/*/pkcs11/p11-kit-client.so)
message=$work/message
head -c 5000 /dev/urandom >"$message"
openssl dgst -sha256 -binary -out "$message.sha256" "$message"
openssl x509 -in "$hsm/keys/ec-cert.crt" -outform DER -out "$work/expected.der"

p11tool_login() {
    "${user[@]}" p11tool --batch --login --set-pin "$pin" "$@"
}

lists_modules() {
    local list
    list=$("${user[@]}" p11-kit list-modules)
    printf '%s\n' "$list"
    grep -q "^p11rest: $home/libp11rest.so$" <<<"$list"
    grep -q "^    token: $token$" <<<"$list"
}

lists_objects() {
    local list
    list=$(p11tool_login --list-all "$url")
    printf '%s\n' "$list"
    [ "$(grep -c 'Type: Private key' <<<"$list")" -eq 5 ]
    [ "$(grep -c 'Type: X.509 Certificate' <<<"$list")" -eq 2 ]
}

test_signs() {
    says '\.\.\. ok$' p11tool_login --test-sign "$url;object=$1;type=private"
}

exports() {
    "${user[@]}" p11tool --batch --export "$url;object=ec-cert;type=cert" --outfile "$work/exported"
    openssl x509 -in "$work/exported" -outform DER | cmp - "$work/expected.der"
}

# tool_through FILE OPTIONS...: pkcs11-tool with another module than ours between them.
tool_through() {
    "${user[@]}" pkcs11-tool --module "$1" --token-label "$token" "${@:2}"
}

# signs_through FILE KEY: RSA with the message, ECDSA with its hash, since p11-kit's pipe knows no CKM_ECDSA_SHA256.
signs_through() {
    local options=(-m SHA256-RSA-PKCS -i "$message") id signature
    [[ $2 == rsa* ]] || options=(-m ECDSA --signature-format openssl -i "$message.sha256")
    id=$(tool_through "$1" --list-objects --type pubkey |
        awk -v key="$2" '$1 == "label:" { found = $2 == key } $1 == "ID:" && found { print $2; exit }')
    signature=$(mktemp -p "$work")
    tool_through "$1" --login --pin "$pin" --sign "${options[@]}" --id "$id" >"$signature"
    openssl dgst -sha256 -verify "$work/$2.pub" -signature "$signature" "$message"
}

# The configuration is in no usual place, and in the .module file.
by_the_module_file() {
    mv "$home/.config/p11rest" "$home/elsewhere"
    trap 'mv "$home/elsewhere" "$home/.config/p11rest"' EXIT
    refused 'No slots' tool_through "$proxy" --list-objects
    sed -i "s|^# x-init-reserved:.*|x-init-reserved: config=$home/elsewhere/p11rest.toml|" "$registered"
    lists_modules
    signs_through "$proxy" ec-p256
}

# p11-kit runs the module as a child and talks to it through a pipe.
in_a_process_of_its_own() {
    sed -i -e "s|^module:.*|remote: \|p11-kit remote $home/libp11rest.so|" -e "s|^x-init-reserved:.*|x-init-reserved: config=$hsm/p11rest.toml|" \
        "$registered"
    test_signs rsa-2048
    signs_through "$proxy" ec-p256
}

# Who asks the server needs neither the module nor its configuration: only the path of the socket.
behind_a_socket() {
    local key clients=()
    rm "$registered"
    eval "$("${user[@]}" p11-kit server --sh --name "$home/p11rest.socket" --provider "$home/libp11rest.so" "$url")"
    trap '"${user[@]}" p11-kit server --kill' EXIT
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

check "p11-kit list-modules" lists_modules
check "p11tool --list-token-urls" says "token=$token" "${user[@]}" p11tool --list-token-urls
check "p11tool --login --list-all" lists_objects
check "p11tool --export" exports
for key in rsa-2048 ec-p256; do
    check "p11tool --test-sign with $key" test_signs "$key"
    check "signs with $key through p11-kit-proxy" signs_through "$proxy" "$key"
done
check "x-init-reserved names the configuration" by_the_module_file
check "signs with the module in a process of its own" in_a_process_of_its_own
check "signs through p11-kit server, four clients at once" behind_a_socket

finish
