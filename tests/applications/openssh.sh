#!/bin/bash
# OpenSSH, as docs/applications/openssh.md has it: public keys, logging in to a server on loopback, an agent, an authority.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version ssh -V

start_emulator tls
mkdir "$work/ssh"
cd "$work/ssh"

# Its own server, with nothing of the machine's but the account.
account=$(id -un)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ssh-keygen -q -t ed25519 -N '' -f host
cat >sshd_config <<CONFIG
ListenAddress 127.0.0.1:$port
HostKey $PWD/host
HostCertificate $PWD/host-cert.pub
PidFile $PWD/sshd.pid
AuthorizedKeysFile $PWD/authorized_keys
TrustedUserCAKeys $PWD/user-ca.pub
AuthorizedPrincipalsFile $PWD/principals
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
LogLevel VERBOSE
CONFIG
start_server() {
    # Where a server of root leaves its privileges behind; else the system's start makes it.
    [ "$(id -u)" -ne 0 ] || mkdir -p -m 755 /run/sshd
    : >user-ca.pub
    echo alice >principals
    /usr/sbin/sshd -D -e -f sshd_config 2>>sshd.log &
    local waited=0
    while [ ! -s sshd.pid ] && [ $((waited += 1)) -lt 200 ]; do sleep 0.05; done
}

# What asks for PINs. It counts, for those who ask again and again.
cat >askpass <<ASK
#!/bin/sh
echo "\$1" >>"$PWD/asked"
echo "\${TEST_PIN:-$pin}"
ASK
chmod 700 askpass
: >asked
export SSH_ASKPASS=$PWD/askpass SSH_ASKPASS_REQUIRE=force
unset DISPLAY SSH_AUTH_SOCK SSH_AGENT_PID

# asked COUNT: how often a PIN was asked for since the last question.
asked() {
    local count
    cat asked
    count=$(wc -l <asked)
    : >asked
    [ "$count" -eq "$1" ]
}


# The page's files have the keys of the emulator, says OpenSSL.
public_keys() {
    follow openssh "The public keys"
    local key
    for key in rsa-2048 ec-p256; do
        ssh-keygen -e -m PKCS8 -f "$key.pub" | openssl pkey -pubin | cmp - "$work/$key.pub"
    done
    asked 0
}
check "ssh-keygen -D" public_keys

# logs_in OPTIONS...: the server's answer to a command; nothing of the account's own files is read.
logs_in() {
    says '^let in$' ssh -F none -p "$port" -o UserKnownHostsFile="$PWD/known_hosts" -o StrictHostKeyChecking=yes \
        -o BatchMode=no -o PasswordAuthentication=no -o LogLevel=ERROR "$@" "$account@localhost" echo let in
}

# The line that the server writes of a key that it let in.
let_in() {
    grep -q "Accepted publickey for $account .* $1" sshd.log
    : >sshd.log
}

fingerprint() {
    ssh-keygen -l -f "$1" | awk '{ print $2 }'
}

by_module() {
    cp "$1.pub" authorized_keys
    logs_in -I "$module" -o IdentityFile="$PWD/$1.pub" -o IdentitiesOnly=yes
    let_in "$(fingerprint "$1.pub")"
    asked 1
}

by_client_file() {
    cp ec-p256.pub authorized_keys
    sed -e "s|/usr/local/lib/libp11rest.so|$module|" -e "s|~/.ssh/hsm.pub|$PWD/ec-p256.pub|" \
        -e 's/^Host .*/Host localhost/' "$F/openssh-client.conf" >client.conf
    logs_in -F client.conf
    # No other key was offered.
    if grep 'Failed publickey' sshd.log; then return 1; fi
    let_in "$(fingerprint ec-p256.pub)"
    asked 1
}

not_with_a_wrong_pin() {
    cp ec-p256.pub authorized_keys
    TEST_PIN=4321 refused 'Permission denied' logs_in -I "$module" -o IdentityFile="$PWD/ec-p256.pub" -o IdentitiesOnly=yes
    asked 1
}

by_agent() {
    rm -f authorized_keys
    # In this shell, which then has the agent's address.
    eval "$(section openssh "The agent")"
    trap 'kill "$SSH_AGENT_PID" 2>/dev/null' EXIT
    asked 1
    local key
    for key in rsa-2048 ec-p256; do
        cp "$key.pub" authorized_keys
        logs_in -o IdentityFile="$PWD/$key.pub" -o IdentitiesOnly=yes
        let_in "$(fingerprint "$key.pub")"
    done
    # Twice more, at the same time.
    logs_in & logs_in
    wait $!
    echo content >document
    says 'Good "file" signature for alice@example' follow openssh "Signing files, and commits of Git"
    follow openssh "With an agent"
    says 'Signing CA: ECDSA' ssh-keygen -L -f alice-cert.pub
    user_of_authority ec-p256
    eval "$(section openssh "Taking the agent's keys away")"
    asked 0
}

# user_of_authority KEY: alice's certificate opens the door.
user_of_authority() {
    rm -f authorized_keys
    cp "$1.pub" user-ca.pub
    SSH_AUTH_SOCK= logs_in -i alice
    let_in 'ID alice@example'
    echo >user-ca.pub
    SSH_AUTH_SOCK= refused 'Permission denied' logs_in -i alice
}

users() {
    follow openssh "An authority for users"
    asked 1
    user_of_authority rsa-2048
}

# The server shows the certificate: its key is in no file of the client.
hosts() {
    follow openssh "An authority for hosts"
    asked 1
}

check "signs the key of a host" hosts
start_server
for key in rsa-2048 ec-p256; do
    check "logs in with $key" by_module "$key"
done
check "logs in as the file for clients has it" by_client_file
check "does not log in with a wrong PIN" not_with_a_wrong_pin
check "an authority for users" users
check "an agent, and an authority in it" by_agent
finish
